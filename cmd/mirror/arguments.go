package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/config/settings"
)

// usage turns errors of args into errors of usage.
func usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if args == nil { // without this function, cobra would take the first argument for a command
			return nil
		}
		if err := args(cmd, given); err != nil {
			return &exitError{exitUsage, fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
		}
		return nil
	}
}

// noArguments validates the arguments of commands that take none.
func noArguments(cmd *cobra.Command, args []string) error { return arguments()(cmd, args) }

// arguments validates that a command has exactly the named arguments.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return missing(cmd, names[len(args):]...)
		}
		if len(args) > len(names) {
			return superfluous(cmd, args[len(names)])
		}
		return nil
	}
}

// someArguments validates that a command has at least one argument.
func someArguments(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return missing(cmd, name)
		}
		return nil
	}
}

// oneOfArguments validates that a command has one argument, and that it is one of the valid ones.
func oneOfArguments(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		valid := cmd.ValidArgs
		want := strings.Join(valid[:len(valid)-1], ", ") + " or " + valid[len(valid)-1]
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s is missing: want %s", what, want)
		case len(args) > 1:
			return superfluous(cmd, args[1])
		case !slices.Contains(valid, args[0]):
			return fmt.Errorf("%q is not %s: want %s", args[0], what, want)
		}
		return nil
	}
}

// missing returns the error for arguments that are missing, with the form of the command.
func missing(cmd *cobra.Command, names ...string) error {
	verb := "is"
	if len(names) > 1 {
		verb = "are"
	}
	parent := strings.TrimSuffix(cmd.CommandPath(), cmd.Name())
	return fmt.Errorf("%s %s missing: write %s%s", strings.Join(names, " and "), verb, parent, cmd.Use)
}

// superfluous returns the error for an argument that a command does not take.
func superfluous(cmd *cobra.Command, argument string) error {
	err := fmt.Errorf("%s takes no argument %q", strings.TrimPrefix(cmd.CommandPath(), "mirror "), argument)
	switch ext := filepath.Ext(argument); {
	case cmd.Flags().Lookup("config") != nil && (ext == ".yaml" || ext == ".yml"):
		return fmt.Errorf("%w: write --config %s", err, argument)
	case cmd.Name() == "serve":
		return fmt.Errorf("%w: everything is set with flags", err)
	}
	return err
}

// otherNames are names that other tools have for commands, with what to do instead.
var otherNames = map[string]string{
	"pull": "sync", "fetch": "sync", "cp": "sync", "copy": "sync", "download": "sync", "migrate": "sync",
	"list": "ls", "images": "ls", "delete": "rm", "remove": "rm", "rmi": "rm", "untag": "rm",
	"start": "serve", "run": "serve", "server": "serve", "save": "export", "dump": "export", "restore": "verify",
	"prune": "gc", "garbage-collect": "gc", "clean": "gc", "cleanup": "gc", "info": "status", "ps": "status", "fsck": "verify", "check": "verify",
	"scrub": "verify", "repair": "verify", "passwd": "user", "users": "user", "htpasswd": "user", "keygen": "key",
	"up": "serve", "retag": "tag", "df": "du", "usage": "du",
}

// unknownCommand returns the error for a command that cmd does not have, with the one that was probably meant.
func unknownCommand(cmd *cobra.Command, name string) error {
	path := cmd.CommandPath()
	var known []string
	for _, sub := range cmd.Commands() {
		known = append(append(known, sub.Name()), sub.Aliases...)
	}
	hint := "; see '" + path + " --help'"
	meant, ok := otherNames[name]
	if ok = ok && slices.Contains(known, meant); !ok {
		meant, ok = nearest(name, known)
	}
	switch {
	case ok:
		hint = fmt.Sprintf(": did you mean '%s %s'?", path, meant)
	case name == "push":
		hint = ": push with a client, such as docker push, or import a file with 'mirror import'"
	case name == "login" || name == "logout":
		hint = ": log in with a client, such as docker login; 'mirror user add' creates a user"
	case name == "stop" || name == "restart":
		hint = ": a server ends when it gets SIGTERM, for example by systemctl or docker; 'mirror reload' reads the settings again"
	}
	return &exitError{exitUsage, fmt.Errorf("unknown command %q%s", strings.TrimPrefix(path+" ", "mirror ")+name, hint)}
}

// nearest returns the word that name is the beginning of, or that it resembles.
func nearest(name string, words []string) (word string, ok bool) {
	if i := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, name) }); i >= 0 && len(name) > 1 {
		return words[i], true
	}
	word, ok = settings.Nearest(name, words)
	return word, ok && len(name) > 2 && word[0] == name[0]
}

// subcommands validates the arguments of a command that only has commands below it.
func subcommands(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return nil
}

// flagError returns an error about a flag with the next step.
func flagError(cmd *cobra.Command, err error) error {
	if given := cmd.Flags().Args(); cmd.Annotations[isParent] != "" && len(given) > 0 {
		return unknownCommand(cmd, given[0])
	}
	var unknown *pflag.NotExistError
	var valueless *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		err = unknownFlag(cmd, unknown)
	case errors.As(err, &valueless):
		err = fmt.Errorf("--%s needs a value", valueless.GetFlag().Name)
	case errors.As(err, &invalid):
		err = fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), expected(err))
	}
	return &exitError{exitUsage, fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
}

// checkEmptyFlags returns an error for a flag whose value is empty, if that would mean that the flag was not given. A script
// whose variable is unset must not import without the key in it. An empty setting resets one of the configuration.
func checkEmptyFlags(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if !config.IsSetting(f) && (value == "" || value == "[]") && value == f.DefValue {
			err = errors.Join(err, fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name))
		}
	})
	if err != nil {
		err = &exitError{exitUsage, err}
	}
	return err
}

// unknownFlag returns the error for a flag that cmd does not have, with the one that was probably meant.
func unknownFlag(cmd *cobra.Command, err *pflag.NotExistError) error {
	name := err.GetSpecifiedName()
	if err.GetSpecifiedShortnames() != "" {
		return fmt.Errorf("unknown flag -%s", name)
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if meant, ok := nearest(name, known); ok {
		return fmt.Errorf("unknown flag --%s: did you mean --%s?", name, meant)
	}
	return fmt.Errorf("unknown flag --%s", name)
}
