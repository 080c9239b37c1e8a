// Command mirror is a complete OCI registry and a pull-through mirror for networks that are cut off from the internet.
//
// Package main contains the commands, one file each: their flags, and how their results are printed. The server is in
// package server, the settings are in package config.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/server"
)

// version is set when the binary is built.
var version = "dev"

// Exit codes. Scripts and service managers rely on them.
const (
	exitFailed  = 1 // any error without a code of its own
	exitUsage   = 2 // invalid flags, arguments or settings
	exitInUse   = 3 // another process uses the data folder
	exitData    = 4 // the data folder is not readable or writable
	exitAddress = 5 // the server cannot listen on the address
	exitMissing = 6 // something that was requested is not stored
	exitRefused = 7 // a bundle is damaged, not trusted or out of order, or an earlier bundle is missing
	exitDefects = 8 // stored content is damaged or missing, or the index is wrong

	exitInterrupted = 130 // SIGINT or SIGTERM interrupted the command
)

// exitError is an error with an exit code.
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
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	cmd := newRootCommand(args...)
	out := newPrinted(os.Stdout)
	flush := func() error { return nil }
	if isPipe(os.Stdout) {
		queue := newOutputQueue(os.Stdout)
		out.W, flush = queue, queue.flush
	}
	cmd.SetOut(out)
	cmd.SetErr(newPrinted(os.Stderr))
	understood := false
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		understood = true
		for _, warning := range config.MisspeltVariables(os.Environ()) {
			printError(cmd.ErrOrStderr(), warning)
		}
		if err := checkEmptyFlags(cmd); err != nil {
			return err
		}
		if err := checkRemote(cmd); err != nil {
			return err
		}
		return setOutput(cmd)
	}
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if unwritten := flush(); err == nil && unwritten != nil {
		err = fmt.Errorf("write the output: %w", unwritten)
	}
	if err == nil {
		return 0
	}
	printError(cmd.ErrOrStderr(), err.Error())
	if code := exitCode(err); code != exitFailed || understood {
		return code
	}
	return exitUsage
}

// errorTimeout is how long a command waits until an error is printed.
const errorTimeout = 2 * time.Second

// printError prints an error or a warning. It gives up after a timeout: if standard error is a pipe that nobody reads, the
// command still starts and ends.
func printError(out io.Writer, text string) {
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		fmt.Fprintln(out, errorText(text))
	}()
	timeout := time.NewTimer(errorTimeout)
	defer timeout.Stop()
	select {
	case <-printed:
	case <-timeout.C:
	}
}

// errorText returns an error as it is printed: each of several errors on a line of its own. Indented lines belong to the
// one above.
func errorText(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if i == 0 || !strings.HasPrefix(line, " ") {
			lines[i] = "mirror: " + line
		}
	}
	return strings.Join(lines, "\n")
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

// newRootCommand returns the command mirror with the command that args begin with, or with all commands: help and
// completions list them.
func newRootCommand(args ...string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "A registry and pull-through mirror for networks that are cut off",
		Long: `mirror is an OCI registry and a pull-through mirror of other registries. It fetches missing
images from upstream registries, stores them, and serves them when the upstreams are not
reachable. Bundles carry images into networks without any connection.`,
		Example: `  mirror serve                    # on :5000, in front of Docker Hub
  mirror serve --offline          # serve stored content, contact no upstream
  mirror client docker            # what Docker needs to pull through the mirror
  mirror sync --file images.txt   # fetch complete images in advance
  mirror export --bundle b.tar --all     # write a bundle for an isolated mirror
  mirror import b.tar             # import it there
  mirror ls                       # list images, and whether they are complete
  mirror gc --dry-run             # what would be deleted, and why
  mirror ls --server https://reg.example --user alice  # on another machine`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Annotations:       map[string]string{isParent: "true"},
		Args:              subcommands,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(flagError)
	remoteFlags(cmd.PersistentFlags())
	cmd.PersistentFlags().SortFlags, cmd.Flags().SortFlags = false, false
	cobra.EnableCommandSorting = false // the help has them in the order of AddCommand
	cmd.SetHelpFunc(printHelp)
	cmd.SetHelpCommand(newHelpCommand())
	cmd.AddGroup(groupTitles...)
	cmd.SetHelpCommandGroupID(groupOther)
	addCommands(cmd, args)
	return cmd
}

// expected replaces the error of pflag, which names a function of package strconv, by one that says what the flag takes.
func expected(err error) error {
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

// newHelpCommand replaces the help command of cobra, which reports no error for an unknown command.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Print the help of a command",
		Example: `  mirror help sync`,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
