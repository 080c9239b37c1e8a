package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/certs"
)

const day = 24 * time.Hour

func newCertCommand() *cobra.Command {
	var hosts []string
	var folder, client string
	var only bool
	var days int
	cmd := &cobra.Command{
		Use:   "cert [--host NAME[,ADDRESS]...]",
		Short: "Make a certificate to serve TLS with",
		Long: `Make a certificate to serve TLS with, signed by a private authority that is made the
first time and kept. Clients are told of the authority once. Names are added to those that the
certificate has; with none, it is renewed for the same. --only drops all other names, which cuts
off clients that use them. A running server takes up the new one by itself.

With --client, make a certificate for a client, for servers that ask for one.`,
		Example: `  mirror cert --host reg.example,10.0.0.5
  mirror serve --tls-cert-file certs/server.crt --tls-key-file certs/server.key
  mirror cert
  mirror cert --client node-7`,
		Args: usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			life := time.Duration(days) * day
			if days < 1 || days > 20*365 {
				return &exitError{exitUsage, fmt.Errorf("--days %d: want 1 to %d", days, 20*365)}
			}
			if client != "" && (only || len(hosts) > 0) {
				return &exitError{exitUsage, errors.New("a certificate is for servers or for a client: leave out --host and --only, or --client")}
			}
			if only && len(hosts) == 0 {
				return &exitError{exitUsage, errors.New("--only drops all names but those of --host: say which, as --host reg.example,10.0.0.5")}
			}
			if client != "" {
				return makeClientCert(cmd.OutOrStdout(), folder, client, life)
			}
			return makeServerCert(cmd.OutOrStdout(), folder, hosts, only, life)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&hosts, "host", nil, "the `names` and IP addresses that clients use; repeatable")
	f.BoolVar(&only, "only", false, "drop the names that the certificate has and --host does not name")
	f.StringVar(&client, "client", "", "make a certificate for a client of this `name` instead")
	f.StringVar(&folder, "dir", "certs", "write into this `folder`, where the authority is")
	f.IntVar(&days, "days", 2*365, "how long the certificate is valid; the authority lasts 20 years")
	f.SortFlags = false
	return cmd
}

func makeServerCert(out io.Writer, folder string, hosts []string, only bool, life time.Duration) error {
	made, err := certs.Make(folder, hosts, only, life)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ca := filepath.Join(folder, certs.AuthorityCert)
	if made.NewAuthority {
		fmt.Fprintf(out, "%s  a new authority, to be given to clients; %s stays secret\n", ca, filepath.Join(folder, certs.AuthorityKey))
	}
	fmt.Fprintf(out, "%s  for %s, until %s\n", filepath.Join(folder, certs.ServerCert), strings.Join(made.Hosts, ", "), made.Expires.Format("2006-01-02"))
	if len(made.Dropped) > 0 {
		fmt.Fprintf(out, "%s  no longer for %s: clients that use these are cut off\n", filepath.Join(folder, certs.ServerCert), strings.Join(made.Dropped, ", "))
	}
	name := made.Hosts[0]
	if len(hosts) > 0 {
		name = hosts[0] // whose clients are about to be set up
	}
	fmt.Fprintln(out)
	fmt.Fprintf(out, `Serve with it:

  mirror serve --tls-cert-file %[1]s/server.crt --tls-key-file %[1]s/server.key

Give %[2]s to each client, with its own port where the mirror is not on 5000:

  docker      /etc/docker/certs.d/%[3]s/ca.crt
  containerd  /etc/containerd/certs.d/%[3]s/ca.crt, named by ca = "…" in hosts.toml beside it
  podman      /etc/containers/certs.d/%[3]s/ca.crt (CRI-O, skopeo and buildah the same)
  system      /usr/local/share/ca-certificates/mirror.crt and update-ca-certificates (Debian, Ubuntu)
              /etc/pki/ca-trust/source/anchors/mirror.crt and update-ca-trust (Fedora, RHEL)

Everything that a client needs: mirror client docker --host %[3]s --ca %[2]s
`, folder, ca, net.JoinHostPort(name, "5000"))
	return nil
}

func makeClientCert(out io.Writer, folder, name string, life time.Duration) error {
	made, err := certs.MakeClient(folder, name, life)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	fmt.Fprintf(out, `%[1]s/%[2]s.crt  for the client %[2]s, until %[3]s

Serve clients that show one, and no others, with these settings:

  tls: {certFile: %[1]s/server.crt, keyFile: %[1]s/server.key, clientCAFile: %[1]s/ca.crt, requireClientCert: true}

Where a client wants the two files, and whether it works, says:

  mirror client docker --host NAME:5000 --ca %[1]s/ca.crt --cert %[1]s/%[2]s.crt --key %[1]s/%[2]s.key
`, folder, name, made.Expires.Format("2006-01-02"))
	return nil
}
