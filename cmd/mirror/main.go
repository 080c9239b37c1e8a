// Command mirror is a complete OCI registry and a pull-through mirror for networks that are cut off from the internet.
//
// This package wires the others and holds no logic of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/server"
)

// version is set when the binary is built.
var version = "dev"

// The exit codes of the command. Scripts and service managers rely on them.
const (
	exitFailed  = 1 // anything without a code of its own
	exitUsage   = 2 // flags or arguments that are not understood
	exitInUse   = 3 // the data folder belongs to another process
	exitData    = 4 // the data folder cannot be read or written
	exitAddress = 5 // the address cannot be listened on
	exitMissing = 6 // not all that was asked for is held
	exitRefused = 7 // a bundle is damaged, not trusted, out of order, or lacks what it builds on
	exitFlawed  = 8 // something that is held is damaged or missing, or the index is wrong about it

	exitInterrupted = 130 // a command was stopped by SIGINT or SIGTERM before it was done
)

// exitError is an error that ends the process with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A second signal is not waited for.
	context.AfterFunc(ctx, stop)
	cmd := newRootCommand()
	cmd.SetOut(newPrinted(os.Stdout))
	cmd.SetErr(newPrinted(os.Stderr))
	understood := false
	cmd.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		understood = true
		for _, warning := range config.MisspeltVariables(os.Environ()) {
			fmt.Fprintln(cmd.ErrOrStderr(), "mirror: "+warning)
		}
	}
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "mirror: "+err.Error())
	if code := exitCode(err); code != exitFailed || understood {
		return code
	}
	return exitUsage
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		return exit.code
	}
	if failure := (*server.Error)(nil); errors.As(err, &failure) {
		return map[server.Kind]int{
			server.InvalidConfig: exitUsage, server.InUse: exitInUse, server.UnusableData: exitData, server.UnusableAddress: exitAddress,
		}[failure.Kind]
	}
	return exitFailed
}

func newRootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "A registry and pull-through mirror for networks that are cut off",
		Long: `mirror is a complete OCI registry that also fetches what it does not hold from
upstream registries while it can reach them, keeps all of it, and goes on serving
it when it cannot.`,
		Example: `  mirror serve                              # on :5000, in front of Docker Hub
  mirror serve --offline                    # serve what is held, dial nothing
  mirror serve --upstream https://registry.example.com
  mirror sync --file images.txt             # fetch whole images ahead of need
  mirror ls                                 # what is held, and whether it is complete
  mirror gc --dry-run                       # what could go, and why
  mirror mode offline                       # dial nothing from now on`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitError{exitUsage, flagError(cmd, err)}
	})
	cmd.SetHelpCommand(newHelpCommand())
	cmd.AddCommand(newServeCommand(), newStatusCommand(), newModeCommand(), newListCommand(), newWantsCommand(), newSyncCommand(),
		newCertCommand(), newUserCommand(), newConfigCommand(), newClientCommand(), newExportCommand(), newKeyCommand(), newCollectCommand(),
		newPinCommand(), newUnpinCommand(), newRemoveCommand(), newUsageCommand(), newVerifyCommand(), newBackupCommand(), newHealthCommand(), newReloadCommand())
	return cmd
}

// flagError says what is wrong with a flag, and where to read about it.
func flagError(cmd *cobra.Command, err error) error {
	if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
		err = fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), wanted(err))
	}
	return fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())
}

// wanted replaces the error of pflag, which names a function of package strconv, by one that says what the flag takes.
func wanted(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	if number := (*strconv.NumError)(nil); errors.As(err, &number) {
		if number.Func == "ParseBool" {
			return errors.New("want true or false")
		}
		return errors.New("want a number")
	}
	return errors.Unwrap(invalid)
}

// newHelpCommand is cobra's, which finds nothing wrong with a command that does not exist.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return &exitError{exitUsage, fmt.Errorf("there is no command %q; see 'mirror --help'", strings.Join(args, " "))}
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
