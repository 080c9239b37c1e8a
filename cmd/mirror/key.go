package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"airmirror/sync/signature"
)

func newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make keys to sign bundles with",
		Args:  usage(noArguments),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyGenerateCommand())
	return cmd
}

func newKeyGenerateCommand() *cobra.Command {
	var path string
	var noPassword bool
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make a key pair to sign bundles with",
		Long: `Make a key pair to sign bundles with, in minisign's format: the secret key stays where bundles
are made, the public key goes to where they are taken in. On a terminal a password is asked
for that protects the secret key.`,
		Example: `  mirror key generate
  mirror export --bundle plant.tar --all --sign mirror.key
  mirror sync --bundle plant.tar --verify mirror.pub
  tar xf plant.tar bundle.json bundle.json.minisig && minisign -V -p mirror.pub -m bundle.json`,
		Args: usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := newPassword(cmd, noPassword)
			if err != nil {
				return err
			}
			public, err := signature.Generate(path, password)
			if errors.Is(err, fs.ErrExist) {
				return &exitError{exitUsage, fmt.Errorf("%w with --key", err)}
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  the secret key: keep it where bundles are made\n%s  the public key: give it to mirrors that take bundles in\n\n%s\n",
				path, signature.PublicPath(path), public)
			return err
		},
	}
	cmd.Flags().StringVar(&path, "key", "mirror.key", "write the secret key to this `file`, the public one beside it")
	cmd.Flags().BoolVar(&noPassword, "no-password", false, "do not protect the secret key, so that nobody has to be there to sign")
	return cmd
}

// newPassword asks twice for a password; empty where nobody can be asked.
func newPassword(cmd *cobra.Command, none bool) ([]byte, error) {
	if none || !isTerminal(cmd.InOrStdin()) {
		return nil, nil
	}
	ask := askPassword(cmd)
	first, err := ask()
	if err != nil {
		return nil, err
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Again: ")
	second, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, &exitError{exitUsage, errors.New("the passwords are not the same")}
	}
	return first, nil
}

// askPassword returns what asks for a password on the terminal, or takes MIRROR_KEY_PASSWORD.
func askPassword(cmd *cobra.Command) func() ([]byte, error) {
	return func() ([]byte, error) {
		if password, ok := os.LookupEnv("MIRROR_KEY_PASSWORD"); ok {
			return []byte(password), nil
		}
		if !isTerminal(cmd.InOrStdin()) {
			return nil, errors.New("the key is protected by a password, and there is no terminal to ask for it: set MIRROR_KEY_PASSWORD")
		}
		fmt.Fprint(cmd.ErrOrStderr(), "Password of the key: ")
		password, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return password, err
	}
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
