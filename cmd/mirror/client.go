package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/cmd/mirror/clients"
	"airmirror/cmd/mirror/config"
)

func newClientCommand() *cobra.Command {
	q := &adminCommand{}
	var m clients.Mirror
	var tls, check, fromStdin bool
	cmd := q.command(&cobra.Command{
		Use:   "client " + strings.Join(clients.Kinds, "|"),
		Short: "Print what a client needs to be told to use this mirror",
		Long: `Print the files that a client needs to pull through this mirror, and where they go: for its
upstreams as they are configured, with TLS if it serves by that. With --check, ask the mirror as
such a client would, from this machine. All that is not in a file is a comment.

Where nothing is given without a login, --user has the clients log in: it is asked for the password,
which goes into the files of clients that have a place for it.`,
		Example: `  mirror client docker --host reg.example:5000
  mirror client containerd --host reg.example:5000 --ca certs/ca.crt
  mirror client podman --host reg.example:5000 --check`,
		ValidArgs: clients.Kinds,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
	}, nil)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (m.Cert == "") != (m.Key == "") {
			return &exitError{exitUsage, errors.New("a client's certificate needs its key: name both with --cert and --key")}
		}
		if fromStdin && m.User == "" {
			return &exitError{exitUsage, errors.New("a password needs its user: name it with --user")}
		}
		if m.User != "" {
			var err error
			if m.Password, err = readOnePassword(cmd, m.User, fromStdin); err != nil {
				return err
			}
		}
		client, status, end := q.ifAny(cmd.Context())
		defer end()
		m.TLS = tls || !cmd.Flags().Changed("tls") && (cmd.Flags().Changed("ca") || q.TLS.Enabled() || status.Server != nil && status.Server.TLS)
		m.Upstreams = hostsOf(status, q.Config)
		if m.Host == "" {
			m.Host = ownHost(status, q.Listen)
		}
		if check {
			return checkClient(cmd, client, args[0], m)
		}
		setup, err := clients.For(args[0], m)
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), setup)
		}
		if q.TLS.RequireClientCert && m.Cert == "" {
			setup.Notes = append(setup.Notes, "This mirror serves only clients that show a certificate: 'mirror cert --client NAME' makes one, and --cert and --key here say where it goes.")
		}
		if m.User == "" && q.Auth.NeedsLogin() {
			setup.Notes = append(setup.Notes, "This mirror gives nothing without a login: with --user here, the clients are given one.")
		}
		return printSetup(cmd.OutOrStdout(), setup)
	}
	f := cmd.Flags()
	f.StringVar(&m.Host, "host", "", "how clients reach the mirror, as `name[:port]` (default this machine's name and the port that it serves on)")
	f.BoolVar(&tls, "tls", false, "clients reach it by HTTPS, as behind a proxy (default what it serves by; with --ca they do)")
	f.StringVar(&m.CA, "ca", "", "the authority that signed its certificate is in this PEM `file`, to be copied to clients")
	f.StringVar(&m.Cert, "cert", "", "clients show the certificate in this PEM `file`, to be copied to them; 'mirror cert --client' makes one")
	f.StringVar(&m.Key, "key", "", "its key, in a PEM `file`")
	f.StringVar(&m.User, "user", "", "clients log in as this `name` to pull")
	f.BoolVar(&fromStdin, "password-stdin", false, "read its password from standard input")
	f.BoolVar(&m.NoFallback, "no-fallback", false, "clients do not ask the upstream for what the mirror does not have: where there is no way to it, that takes a minute and more")
	f.BoolVar(&check, "check", false, "ask the mirror as the client would, from this machine")
	return cmd
}

// ifAny finds the mirror of the data folder, if there is one: clients can be told about one that is elsewhere, too.
func (q *adminCommand) ifAny(ctx context.Context) (client *admin.Client, status admin.Status, end func()) {
	client, closeMirror, err := q.open(ctx)
	if err != nil {
		return nil, status, func() {}
	}
	if status, err = client.Status(ctx); err != nil {
		status = admin.Status{}
	}
	return client, status, func() { _ = closeMirror(ctx) } // nothing was changed
}

// hostsOf are the upstreams of the mirror that runs, or of the one that would.
func hostsOf(status admin.Status, c config.Config) (hosts []string) {
	for _, u := range status.Upstreams {
		hosts = append(hosts, u.Host)
	}
	if len(hosts) == 0 {
		return c.Hosts()
	}
	return hosts
}

// ownHost is how other machines probably reach the mirror.
func ownHost(status admin.Status, listen string) string {
	if status.Server != nil {
		listen = status.Server.Address
	}
	return config.PublicAddress(listen)
}

// printSetup prints a setup so that all that is not in a file is a comment: the output for a client that has one file can be
// written to that as it is.
func printSetup(out io.Writer, s clients.Setup) error {
	for _, file := range s.Files {
		switch {
		case file.Copy != "":
			fmt.Fprintf(out, "# %s: a copy of %s\n\n", file.Path, file.Copy)
		case file.Secret:
			fmt.Fprintf(out, "# %s: holds a password, chmod 600\n%s\n", file.Path, file.Text)
		default:
			fmt.Fprintf(out, "# %s\n%s\n", file.Path, file.Text)
		}
	}
	if s.Then != "" {
		fmt.Fprintf(out, "# then: %s\n", s.Then)
	}
	for _, note := range s.Notes {
		fmt.Fprint(out, "#\n", commented(note))
	}
	return nil
}

// commented breaks a text into lines of comments.
func commented(text string) string {
	const width = 118
	var lines strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width && line != "#" {
			lines.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return lines.String() + line + "\n"
}

func checkClient(cmd *cobra.Command, client *admin.Client, kind string, m clients.Mirror) error {
	var held clients.Held
	if client != nil {
		var err error
		if held, err = anyHeld(cmd.Context(), client); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	return clients.Check(cmd.Context(), kind, m, held, func(line string) { fmt.Fprintln(out, line) })
}

// anyHeld returns an image that is held whole, the zero value if there is none.
func anyHeld(ctx context.Context, client *admin.Client) (held clients.Held, err error) {
	for image, err := range client.Images(ctx, admin.Query{}) {
		if err != nil {
			return held, err
		}
		if !image.Complete {
			continue
		}
		held.Manifest = image.Digest
		held.Ref, err = image.Ref()
		return held, err
	}
	return held, nil
}
