package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"airmirror/api/admin"
	"airmirror/api/audit"
	"airmirror/api/auth"
	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/server"
	"airmirror/mirror"
)

// userFile is the file of users that a command works on.
type userFile struct {
	config.Loaded
	output
	source config.Source
	path   string
}

func newUserCommand() *cobra.Command {
	return parentCommand(&cobra.Command{
		Use:   "user",
		Short: "Manage users",
		Example: `  mirror user add alice
  mirror user ls
  mirror user rm alice`,
		Long: `Manage the users in the htpasswd file of the configuration or, if none is configured, in htpasswd in
the data folder. Passwords are hashed with bcrypt. A running server uses a change within a second.

If there are users, only users can push and delete. Everyone can still pull, unless
auth.anonymousPull is false. Rules in the configuration (auth.rules) replace these defaults.`,
	}, newUserAddCommand(), newUserListCommand(), newUserRemoveCommand())
}

func newUserAddCommand() *cobra.Command {
	var u userFile
	var fromStdin bool
	cmd := u.command(&cobra.Command{
		Use:   "add NAME",
		Short: "Add a user, or change the password of a user",
		Example: `  mirror user add alice
  pwgen 20 1 | mirror user add robot --password-stdin`,
		Args: arguments("NAME"),
	}, func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if !auth.ValidUser(name) {
			return &exitError{exitUsage, fmt.Errorf("%q cannot be a user name: it is reserved for rules, or contains a colon or a space", name)}
		}
		password, err := readPassword(cmd, fromStdin)
		if err != nil {
			return err
		}
		added, err := auth.SetPassword(u.path, name, password)
		u.audit("user-add", name, err)
		if err != nil {
			return err
		}
		if u.json {
			return printJSON(cmd.OutOrStdout(), userChange{User: name, File: u.path, Added: added})
		}
		what := "was added"
		if !added {
			what = "has a new password"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s in %s\n", name, what, u.path)
		return err
	})
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	cmd.ValidArgsFunction = u.complete
	return cmd
}

// userChange is the result of a change in JSON.
type userChange struct {
	User    string `json:"user"`
	File    string `json:"file"`
	Added   bool   `json:"added,omitempty"` // false after a change of the password
	Removed bool   `json:"removed,omitempty"`
}

func newUserRemoveCommand() *cobra.Command {
	var u userFile
	cmd := u.command(&cobra.Command{
		Use:     "rm NAME",
		Short:   "Remove a user",
		Example: `  mirror user rm alice`,
		Args:    arguments("NAME"),
	}, func(cmd *cobra.Command, args []string) error {
		err := auth.RemoveUser(u.path, args[0])
		u.audit("user-remove", args[0], err)
		if errors.Is(err, auth.ErrNoUser) {
			return &exitError{exitMissing, fmt.Errorf("user %s is not in %s", args[0], u.path)}
		}
		switch {
		case err != nil:
			return err
		case u.json:
			return printJSON(cmd.OutOrStdout(), userChange{User: args[0], File: u.path, Removed: true})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s was removed from %s\n", args[0], u.path)
		return err
	})
	cmd.ValidArgsFunction = u.complete
	return cmd
}

func newUserListCommand() *cobra.Command {
	var u userFile
	cmd := u.command(&cobra.Command{
		Use:     "ls",
		Short:   "List users",
		Example: `  mirror user ls`,
		Args:    noArguments,
	}, func(cmd *cobra.Command, _ []string) error {
		users, err := auth.Users(u.path)
		if err != nil {
			return err
		}
		if u.json {
			return printJSON(cmd.OutOrStdout(), append([]string{}, users...))
		}
		for _, user := range users {
			fmt.Fprintln(cmd.OutOrStdout(), user)
		}
		return nil
	})
	printsNames(cmd.Flags()) // the list has nothing else
	return cmd
}

// command completes cmd with the flags that select the file.
func (u *userFile) command(cmd *cobra.Command, do func(cmd *cobra.Command, args []string) error) *cobra.Command {
	meant := pflag.NewFlagSet("", pflag.ContinueOnError)
	meant.StringVar(&u.path, "htpasswd", "", "`file` of users (default the file in the configuration, or htpasswd in the data folder)")
	u.source.Flags(meant, "data")
	asSettings(cmd, meant, "Settings:")
	cmd.Flags().AddFlagSet(meant)
	u.output.flags(cmd.Flags())
	cmd.Args = usage(cmd.Args)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if u.path == "" {
			var err error
			if u.Loaded, err = load(u.source); err != nil {
				return err
			}
			u.path = u.Htpasswd()
			if _, err := os.Stat(u.Data); u.Auth.HtpasswdFile == "" && err != nil {
				return &exitError{exitData, fmt.Errorf("the data folder %s does not exist: set the data folder of the mirror with --data, or a file with --htpasswd", u.Data)}
			}
		}
		return do(cmd, args)
	}
	return cmd
}

// readPassword reads a new password from standard input or, twice and without echo, from the terminal.
func readPassword(cmd *cobra.Command, fromStdin bool) (string, error) {
	given, err := readPasswords(cmd, fromStdin, "Password: ", "Again: ")
	if err == nil && given[0] != given[len(given)-1] {
		err = errors.New("the two passwords differ")
	}
	if err != nil {
		return "", err
	}
	return given[0], nil
}

// readOnePassword reads the password of an existing user.
func readOnePassword(cmd *cobra.Command, user string, fromStdin bool) (string, error) {
	given, err := readPasswords(cmd, fromStdin, "Password of "+user+": ")
	if err != nil {
		return "", err
	}
	return given[0], nil
}

// readPasswords reads one password from standard input, or one after each prompt from the terminal.
func readPasswords(cmd *cobra.Command, fromStdin bool, prompts ...string) (given []string, err error) {
	if fromStdin {
		text, err := io.ReadAll(mirror.TextReader(io.LimitReader(cmd.InOrStdin(), 4<<10)))
		password := strings.TrimRight(string(text), "\r\n")
		if err == nil && password == "" {
			err = &exitError{exitUsage, errors.New("standard input contains no password")}
		}
		return []string{password}, err
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return nil, &exitError{exitUsage, errors.New("standard input is not a terminal: use --password-stdin to read the password from it")}
	}
	state, err := term.GetState(stdin)
	if err != nil {
		return nil, err
	}
	for _, prompt := range prompts {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		password, err := readUnseen(cmd.Context(), stdin, state)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(cmd.ErrOrStderr())
		given = append(given, password)
	}
	return given, nil
}

// readUnseen reads a line from a terminal without echo. It restores the echo afterwards, and after Ctrl-C.
func readUnseen(ctx context.Context, terminal int, state *term.State) (string, error) {
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(terminal)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return string(l.text), l.err
	case <-ctx.Done():
		_ = term.Restore(terminal, state)
		return "", errInterrupted
	}
}

// audit writes a change of a user to the audit log, as the server is not involved. It does not create the log: the server
// may run as another account, which could not write to it.
func (u *userFile) audit(action, name string, err error) {
	path := u.Audit.File
	if info, statErr := os.Stat(path); path == "" || statErr != nil || !info.Mode().IsRegular() {
		return
	}
	log := server.NewCommandLogger(zapcore.ErrorLevel, os.Stderr)
	l, logErr := audit.Open(path, nil, log)
	if logErr != nil {
		log.Error("cannot write to the audit log", zap.Error(logErr))
		return
	}
	defer l.Close()
	detail, _ := json.Marshal(map[string]string{"user": name, "file": u.path}) // of text
	l.Write(audit.Entry{Action: action, User: admin.PeerUser(context.Background()), Address: "local", Detail: detail}, err)
}
