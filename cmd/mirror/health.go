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

// healthTimeout limits the whole check. Container runtimes usually wait 5 seconds.
const healthTimeout = 4 * time.Second

func newHealthCommand() *cobra.Command {
	var source config.Source
	var url string
	var ready bool
	var o output
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Check that the server is alive, or ready",
		Long: `Check that a server runs on the data folder and responds to clients on its address. The exit code is
0 if so, and 1 otherwise. The check needs no shell, certificate or login, so that container images
can use it. An offline mirror is healthy, and so is one whose disk is full, as it serves pulls: a
restart would not help it.

With --ready, check also that the server can store and read content, as /readyz does.

With --url, check that URL instead of the data folder. A response without an error, or with a
request for a login, is healthy. Certificates are not verified, as no secret is sent.`,
		Example: `  mirror health --data /srv/mirror
  mirror health --ready
  mirror health --url https://localhost:5000/v2/`,
		Args: usage(noArguments),
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
		defer cancel()
		if ready && url != "" {
			return &exitError{exitUsage, errors.New("--ready cannot be used with --url: check the URL of /readyz, as in --url https://localhost:5000/readyz")}
		}
		if url == "" {
			data, err := dataFolder(source, cmd)
			if err != nil {
				return err
			}
			if url, err = servedAt(ctx, data, ready); err != nil {
				return err
			}
		}
		if err := checkResponse(ctx, url); err != nil {
			return err
		}
		if o.json {
			return printJSON(cmd.OutOrStdout(), healthResult{true, ready, url})
		}
		what := "healthy"
		if ready {
			what = "ready"
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s responds\n", what, url)
		return err
	}
	f := cmd.Flags()
	source.Flags(f, "data")
	o.flags(f)
	f.BoolVar(&ready, "ready", false, "check also that the server can store and read content")
	f.StringVar(&url, "url", "", "check this `URL` instead")
	return cmd
}

// healthResult is the result in JSON. An unhealthy server is an error.
type healthResult struct {
	Healthy bool   `json:"healthy"`
	Ready   bool   `json:"ready,omitempty"` // with --ready
	URL     string `json:"url"`
}

// dataFolder returns the data folder. It reads the configuration file only if neither a flag nor a variable names the
// folder: a file that is being edited must not make a running server unhealthy.
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

// servedAt returns the URL where the server of a data folder serves clients. It fails if no server responds on the admin
// socket or, if ready is set, if the server is not ready.
func servedAt(ctx context.Context, data string, ready bool) (url string, err error) {
	transport, err := admin.Dial(ctx, data)
	if errors.Is(err, admin.ErrNoServer) {
		return "", fmt.Errorf("no server runs on the data folder %s: start one with 'mirror serve --data %s'", data, data)
	}
	if err != nil {
		return "", err
	}
	defer transport.CloseIdleConnections()
	status, err := admin.NewClient(transport).Status(ctx)
	if err != nil {
		return "", fmt.Errorf("the server on %s does not respond: %w", data, err)
	}
	if ready && status.Ready != nil && !status.Ready.Ready {
		return "", fmt.Errorf("the server on %s is not ready: %s", data, status.Ready.Reason)
	}
	host, port, err := net.SplitHostPort(status.Server.Address)
	if err != nil {
		return "", fmt.Errorf("the server on %s serves %q: %w", data, status.Server.Address, err)
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

// checkResponse returns an error if a server does not respond. A request for a login or a certificate is a response.
func checkResponse(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--url %s: %w", url, err)}
	}
	transport := &http.Transport{
		DisableKeepAlives: true, // and no proxy, as the server is on this machine
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}
	response, err := transport.RoundTrip(request)
	if alert := (*net.OpError)(nil); errors.As(err, &alert) && alert.Op == "remote error" { // a TLS alert, such as for a missing client certificate
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s does not respond: %w", url, err)
	}
	response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest && response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("%s responds with %s", url, response.Status)
	}
	return nil
}
