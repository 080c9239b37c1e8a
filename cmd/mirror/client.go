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
	"airmirror/mirror"
)

func newClientCommand() *cobra.Command {
	q := &adminCommand{}
	var m clients.Mirror
	var tls, check, fromStdin bool
	cmd := q.command(&cobra.Command{
		Use:   "client " + strings.Join(clients.Kinds, "|"),
		Short: "Print the configuration of a client for this mirror",
		Long: `Print the configuration files that a client needs to pull through this mirror, with their paths. The
files cover the configured upstreams, and use TLS if the mirror does. Everything else in the output
is a comment.

With --check, send requests to the mirror as the client would, from this machine.

If pulls need a login, set --user. The command asks for the password, and writes it into the files
of clients that can store it.`,
		Example: `  mirror client docker --host reg.example:5000
  mirror client containerd --host https://reg.example:5000 --ca certs/ca.crt
  mirror client podman --host reg.example:5000 --check`,
		ValidArgs: clients.Kinds,
		Args:      oneOfArguments("a client"),
	}, nil)
	onlyHere(cmd, "set --host to the address of the mirror")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (m.Cert == "") != (m.Key == "") {
			return &exitError{exitUsage, errors.New("--cert and --key belong together: set both")}
		}
		if err := m.CheckFiles(); err != nil {
			return &exitError{exitUsage, err}
		}
		scheme, err := m.SetHost(m.Host)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--host %s: %w", m.Host, err)}
		}
		if scheme == "http" && (tls || m.CA != "") {
			return &exitError{exitUsage, errors.New("--host is an http:// URL, and --tls and --ca are for https://")}
		}
		if fromStdin && m.User == "" {
			return &exitError{exitUsage, errors.New("--password-stdin needs --user")}
		}
		if m.User != "" {
			if m.Password, err = readOnePassword(cmd, m.User, fromStdin); err != nil {
				return err
			}
		}
		client, status, end := q.openIfExists(cmd.Context())
		defer end()
		m.TLS = tls || scheme == "https" || scheme == "" && !cmd.Flags().Changed("tls") && (cmd.Flags().Changed("ca") || q.TLS.Enabled() || status.Server != nil && status.Server.TLS)
		m.Upstreams = hostsOf(status, q.Config)
		if m.Host == "" {
			m.Host = ownHost(status, q.Listen)
		}
		offline := q.Offline || status.Mode == mirror.Offline
		if !cmd.Flags().Changed("no-fallback") {
			m.NoFallback = offline
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
		if offline && m.NoFallback && !cmd.Flags().Changed("no-fallback") {
			setup.Notes = append(setup.Notes, "The mirror is offline, so clients contact only the mirror: they show its answer for content that it does not have, instead of a failed request to the internet. Use --no-fallback=false for clients that have a connection.")
		}
		if q.TLS.RequireClientCert && m.Cert == "" {
			setup.Notes = append(setup.Notes, "This mirror requires a client certificate: create one with 'mirror cert --client NAME', and set --cert and --key.")
		}
		if m.User == "" && q.Auth.NeedsLogin() {
			setup.Notes = append(setup.Notes, "This mirror requires a login: set --user.")
		}
		return printSetup(cmd.OutOrStdout(), setup)
	}
	f := cmd.Flags()
	f.StringVar(&m.Host, "host", "", "address that clients use for the mirror, `name[:port]` or a URL (default the name of this machine and the port of the mirror)")
	f.BoolVar(&tls, "tls", false, "clients use HTTPS, for example to a proxy (default if the mirror serves TLS, or with --ca)")
	f.StringVar(&m.CA, "ca", "", "PEM `file` of the certificate authority of the mirror, to be copied to clients")
	f.StringVar(&m.Cert, "cert", "", "PEM `file` of a client certificate, to be copied to clients; see 'mirror cert --client'")
	f.StringVar(&m.Key, "key", "", "PEM `file` of the key of the client certificate")
	f.StringVar(&m.User, "user", "", "`name` of the user that clients log in as")
	f.BoolVar(&fromStdin, "password-stdin", false, "read the password of the user from standard input")
	f.BoolVar(&m.NoFallback, "no-fallback", false, "clients do not contact the upstream for content that the mirror does not have; without a connection, such a request takes a minute or more to fail (default if the mirror is offline)")
	f.BoolVar(&check, "check", false, "send requests to the mirror as the client would, from this machine")
	return cmd
}

// openIfExists returns a client and the status of the mirror of the data folder, if there is one. Without a data folder, the
// command still works for a mirror on another machine.
func (q *adminCommand) openIfExists(ctx context.Context) (client *admin.Client, status admin.Status, end func()) {
	client, closeMirror, err := q.open(ctx)
	if err != nil {
		return nil, status, func() {}
	}
	if status, err = client.Status(ctx); err != nil {
		status = admin.Status{}
	}
	return client, status, func() { _ = closeMirror(ctx) } // the command changed nothing
}

// hostsOf returns the upstreams of the running mirror, or of the configuration.
func hostsOf(status admin.Status, c config.Config) (hosts []string) {
	for _, u := range status.Upstreams {
		hosts = append(hosts, u.Host)
	}
	if len(hosts) == 0 {
		return c.Hosts()
	}
	return hosts
}

// ownHost returns the address that other machines probably use for the mirror.
func ownHost(status admin.Status, listen string) string {
	if status.Server != nil {
		listen = status.Server.Address
	}
	return config.PublicAddress(listen)
}

// printSetup prints the files of a setup, and everything else as comments. For a client with one file, the output is the
// content of that file.
func printSetup(out io.Writer, s clients.Setup) error {
	for _, file := range s.Files {
		switch {
		case file.Copy != "":
			fmt.Fprintf(out, "# %s: a copy of %s\n\n", file.Path, file.Copy)
		case file.Secret:
			fmt.Fprintf(out, "# %s: contains a password, chmod 600\n%s\n", file.Path, file.Text)
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

// commented wraps a text into comment lines.
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
	var stored clients.Stored
	if client != nil {
		var err error
		if stored, err = anyComplete(cmd.Context(), client); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	return clients.Check(cmd.Context(), kind, m, stored, func(line string) { fmt.Fprintln(out, line) })
}

// anyComplete returns a complete image, or the zero value.
func anyComplete(ctx context.Context, client *admin.Client) (stored clients.Stored, err error) {
	for image, err := range client.Images(ctx, admin.Query{}) {
		if err != nil {
			return stored, err
		}
		if !image.Complete {
			continue
		}
		stored.Manifest = image.Digest
		stored.Ref, err = image.Ref()
		return stored, err
	}
	return stored, nil
}
