package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"airmirror/api/admin"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
)

// The flags that select a mirror on another machine. Every command has them; those that cannot use them say so.
const (
	serverFlag       = "server"
	userFlag         = "user"
	passwordFileFlag = "password-file"
	caFlag           = "ca"
)

// localAnnotation is the annotation of a command that works on this machine only, with the reason.
const localAnnotation = "local"

// remoteFlags adds the flags to f.
func remoteFlags(f *pflag.FlagSet) {
	f.String(serverFlag, "", "use the mirror at this `URL`, as in https://reg.example, over its HTTP API; the default is the mirror of the data folder on this machine")
	f.String(userFlag, "", "log in to --server as this user, or with the `name` of an API token; the password is asked for, unless "+config.PasswordVariable+", --password-file or docker's config.json has it")
	f.String(passwordFileFlag, "", "read the password for --server from this `file`")
	f.String(caFlag, "", "PEM `file` of the certificate authority of --server")
}

// checkRemote returns an error if a mirror on another machine is named for a command that works on this machine only.
func checkRemote(cmd *cobra.Command) error {
	given := ""
	for _, flag := range []string{serverFlag, userFlag, passwordFileFlag, caFlag} {
		if f := cmd.InheritedFlags().Lookup(flag); f != nil && f.Changed {
			given = cmp.Or(given, flag)
		}
	}
	server, _ := cmd.Flags().GetString(serverFlag)
	switch reason, local := cmd.Annotations[localAnnotation]; {
	case given == "":
		return nil
	case server == "":
		return &exitError{exitUsage, fmt.Errorf("--%s needs --%s", given, serverFlag)}
	case local || cmd.Annotations[settingsFlag] != settingsTitle:
		reason = cmp.Or(reason, "it works with files of this machine")
		return &exitError{exitUsage, fmt.Errorf("'%s' cannot be used with --%s: %s", cmd.CommandPath(), serverFlag, reason)}
	}
	return nil
}

// onlyHere marks a command as one that works on this machine only.
func onlyHere(cmd *cobra.Command, reason string) *cobra.Command {
	cmd.Annotations[localAnnotation] = reason
	return cmd
}

// isRemote reports whether a command uses a mirror on another machine.
func isRemote(cmd *cobra.Command) bool {
	server, err := cmd.Flags().GetString(serverFlag)
	return err == nil && server != ""
}

// openRemote returns a client of the mirror that the flags of a command name. end closes it.
func openRemote(cmd *cobra.Command) (client *admin.Client, end func(context.Context) error, err error) {
	f := cmd.Flags()
	remote := admin.Remote{}
	remote.URL, _ = f.GetString(serverFlag)
	remote.User, _ = f.GetString(userFlag)
	if path, _ := f.GetString(caFlag); path != "" {
		if remote.CA, err = os.ReadFile(path); err != nil {
			return nil, nil, &exitError{exitUsage, fmt.Errorf("read the certificate authority: %w", err)}
		}
	}
	transport, err := remote.Transport()
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	if remote.User, remote.Password, err = credentials(cmd, remote.User, transport.Host()); err != nil {
		return nil, nil, err
	}
	if transport, err = remote.Transport(); err != nil {
		return nil, nil, err
	}
	return admin.NewClient(transport), func(context.Context) error { transport.CloseIdleConnections(); return nil }, nil
}

// credentials returns the name and password for a host: of the user, if there is one, or those that docker login has stored.
func credentials(cmd *cobra.Command, user, host string) (_, password string, err error) {
	stored := storedCredentials(host)
	if user == "" {
		return stored.Username, stored.Password, nil
	}
	file, _ := cmd.Flags().GetString(passwordFileFlag)
	switch {
	case file != "":
		password, err = readPasswordFile(file)
	case os.Getenv(config.PasswordVariable) != "":
		password = os.Getenv(config.PasswordVariable)
	case stored.Username == user:
		password = stored.Password
	case term.IsTerminal(int(os.Stdin.Fd())):
		password, err = readOnePassword(cmd, user, false)
	default:
		err = &exitError{exitUsage, fmt.Errorf("there is no password for %s: set %s or --%s", user, config.PasswordVariable, passwordFileFlag)}
	}
	return user, password, err
}

// storedCredentials returns the credentials that docker login has stored for a host, or none.
func storedCredentials(host string) authn.AuthConfig {
	registry, err := name.NewRegistry(host, name.Insecure)
	if err != nil {
		return authn.AuthConfig{}
	}
	found, err := authn.DefaultKeychain.Resolve(registry)
	if err != nil || found == authn.Anonymous {
		return authn.AuthConfig{}
	}
	stored, err := found.Authorization()
	if err != nil || stored.Password == "" {
		return authn.AuthConfig{}
	}
	return *stored
}

// readPasswordFile reads a password from a file, without the end of its line.
func readPasswordFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", &exitError{exitUsage, fmt.Errorf("read the password: %w", err)}
	}
	defer file.Close()
	text, err := io.ReadAll(mirror.TextReader(io.LimitReader(file, 4<<10)))
	password := strings.TrimRight(string(text), "\r\n")
	if err == nil && password == "" {
		err = &exitError{exitUsage, fmt.Errorf("the file %s contains no password", path)}
	}
	return password, err
}

// remoteError adds to an error of a mirror on another machine what to do about it.
func remoteError(cmd *cobra.Command, err error) error {
	unknown, plain := x509.UnknownAuthorityError{}, tls.RecordHeaderError{}
	switch {
	case errors.As(err, &plain) && string(plain.RecordHeader[:]) == "HTTP/":
		return fmt.Errorf("%w: the mirror serves plain HTTP there: write http:// in --%s", err, serverFlag)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: name the file of its certificate authority with --%s", err, caFlag)
	}
	refused := (*mirror.Error)(nil)
	if user, _ := cmd.Flags().GetString(userFlag); user != "" || !errors.As(err, &refused) || refused.Code != mirror.CodeUnauthorized {
		return err
	}
	return fmt.Errorf("%w: name a user with --%s", err, userFlag)
}
