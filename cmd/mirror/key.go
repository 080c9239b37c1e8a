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
	return parentCommand(&cobra.Command{
		Use:     "key",
		Short:   "Create keys to sign bundles",
		Example: `  mirror key generate`,
	}, newKeyGenerateCommand())
}

func newKeyGenerateCommand() *cobra.Command {
	var path string
	var noPassword, overwrite bool
	var o output
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Create a key pair to sign bundles",
		Long: `Create a key pair in minisign's format. The secret key signs bundles where they are exported, and the
public key verifies them where they are imported. The secret key is protected by a password: that
of MIRROR_KEY_PASSWORD, or one that the command asks for on the terminal.`,
		Example: `  mirror key generate
  mirror export --bundle plant.tar --all --sign mirror.key
  mirror sync --bundle plant.tar --verify mirror.pub
  tar xf plant.tar bundle.json bundle.json.minisig
  minisign -V -p mirror.pub -m bundle.json`,
		Args: usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := newPassword(cmd, noPassword)
			if err != nil {
				return err
			}
			public, err := signature.Generate(path, password, overwrite)
			if errors.Is(err, fs.ErrExist) {
				return createError(err)
			}
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), madeKey{SecretKey: path, PublicKey: signature.PublicPath(path), Key: public.String()})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  secret key: keep it where bundles are exported\n%s  public key: copy it to mirrors that import bundles\n\n%s\n",
				path, signature.PublicPath(path), public)
			return err
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&path, "key", "mirror.key", "write the secret key to this `file`, and the public key beside it")
	cmd.Flags().BoolVar(&noPassword, "no-password", false, "do not protect the secret key with a password, for unattended use")
	addOverwriteFlag(cmd.Flags(), &overwrite, "an existing key pair; the old secret key is lost")
	return cmd
}

// madeKey is a key pair that was created, in JSON.
type madeKey struct {
	SecretKey string `json:"secretKey"` // paths
	PublicKey string `json:"publicKey"`
	Key       string `json:"key"` // the public key
}

// newPassword returns MIRROR_KEY_PASSWORD, or asks for a password twice on the terminal.
func newPassword(cmd *cobra.Command, none bool) ([]byte, error) {
	password, set := os.LookupEnv("MIRROR_KEY_PASSWORD")
	switch {
	case none:
		return nil, nil
	case set:
		return []byte(password), nil
	case !isTerminal(cmd.InOrStdin()):
		return nil, &exitError{exitUsage, errors.New("there is no terminal to ask for a password on: set MIRROR_KEY_PASSWORD, or leave the secret key unprotected with --no-password")}
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
		return nil, &exitError{exitUsage, errors.New("the passwords differ")}
	}
	return first, nil
}

// askPassword returns a function that returns MIRROR_KEY_PASSWORD or asks for the password on the terminal.
func askPassword(cmd *cobra.Command) func() ([]byte, error) {
	return func() ([]byte, error) {
		if password, ok := os.LookupEnv("MIRROR_KEY_PASSWORD"); ok {
			return []byte(password), nil
		}
		if !isTerminal(cmd.InOrStdin()) {
			return nil, errors.New("the key is protected by a password, and standard input is not a terminal: set MIRROR_KEY_PASSWORD")
		}
		fmt.Fprint(cmd.ErrOrStderr(), "Password of the key: ")
		password, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return password, err
	}
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
