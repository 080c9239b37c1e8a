package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/config/settings"
)

// healthTimeout is how long a mirror may take to answer; what runs `mirror health` commonly waits for 5 seconds.
const healthTimeout = 4 * time.Second

func newHealthCommand() *cobra.Command {
	var source config.Source
	var url string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say whether the mirror that runs is healthy",
		Long: `Say whether a mirror runs on the data folder and answers clients on its address: 0 if so, else 1.
It needs no shell, no certificate and no login, whatever the mirror is served by: container images
have it for their health check. Being offline is healthy.

With --url, ask there, where the folder cannot have a socket. An answer that is no error, or asks
for a login, is healthy. Certificates are not verified: nothing secret is sent.`,
		Example: `  mirror health --data /srv/mirror
  mirror health --url https://localhost:5000/v2/`,
		Args: usage(noArguments),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
		defer cancel()
		if url == "" {
			data, err := dataFolder(source, cmd)
			if err != nil {
				return err
			}
			if url, err = servedAt(ctx, data); err != nil {
				return err
			}
		}
		if err := answersWell(ctx, url); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "healthy: %s answers\n", url)
		return err
	}
	f := cmd.Flags()
	source.Flags(f, "data")
	f.StringVar(&url, "url", "", "ask at this `URL` instead")
	return cmd
}

// dataFolder is the data folder. The file is only read for it if it is not said otherwise: one that is being edited says
// nothing about the mirror that runs.
func dataFolder(source config.Source, cmd *cobra.Command) (string, error) {
	if flag := cmd.Flags().Lookup("data"); flag.Changed {
		return flag.Value.String(), nil
	}
	if data := os.Getenv(settings.EnvPrefix + "DATA"); data != "" {
		return data, nil
	}
	settings, err := load(source)
	return settings.Data, err
}

// servedAt is where the server that runs on a data folder serves clients. That it says so is half of its health.
func servedAt(ctx context.Context, data string) (url string, err error) {
	transport, err := admin.Dial(ctx, data)
	if errors.Is(err, admin.ErrNoServer) {
		return "", fmt.Errorf("no mirror runs on the data folder %s: start one with 'mirror serve --data %s'", data, data)
	}
	if err != nil {
		return "", err
	}
	defer transport.CloseIdleConnections()
	status, err := admin.NewClient(transport).Status(ctx)
	if err != nil {
		return "", fmt.Errorf("the mirror that runs on %s does not answer: %w", data, err)
	}
	host, port, err := net.SplitHostPort(status.Server.Address)
	if err != nil {
		return "", fmt.Errorf("the mirror that runs on %s serves %q: %w", data, status.Server.Address, err)
	}
	if net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if status.Server.TLS {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/v2/", nil
}

// answersWell reports whether a server answers a request. One that demands a login, or a certificate, does.
func answersWell(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--url %s: %w", url, err)}
	}
	transport := &http.Transport{
		DisableKeepAlives: true, // and no proxy: it is this mirror that is asked
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}
	response, err := transport.RoundTrip(request)
	if told := (*net.OpError)(nil); errors.As(err, &told) && told.Op == "remote error" { // a TLS alert, as for want of a certificate
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", url, err)
	}
	response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest && response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
