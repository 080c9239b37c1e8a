package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"airmirror/mirror"
)

// checkTimeout is how long a mirror may take to answer one question: it is near, and holds what it is asked for.
const checkTimeout = 10 * time.Second

// Check asks m as a kind of client would, and tells what it asked and what came of it: whether there is a registry, and
// whether ref, which it should hold, can be had. With an empty ref only the first. The error says what to do.
func Check(ctx context.Context, kind string, m Mirror, ref mirror.Ref, tell func(string)) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if err := ask(ctx, client, http.MethodGet, m.URL()+"/v2/", tell); err != nil {
		return fmt.Errorf("%s is no registry to this machine: %w", m.URL(), hint(m, err))
	}
	if ref.Repo == (mirror.Repo{}) {
		tell("nothing is held yet that could be asked for")
		return nil
	}
	if err := ask(ctx, client, http.MethodHead, m.URL()+path(kind, m, ref), tell); err != nil {
		return fmt.Errorf("%s cannot be pulled: %w", ref, err)
	}
	return nil
}

// path is how a kind of client asks for the manifest of ref.
func path(kind string, m Mirror, ref mirror.Ref) string {
	bare := "/v2/" + ref.Repo.Path + "/manifests/" + ref.Tag
	switch {
	case kind == "podman" || kind == "crio":
		return "/v2/" + ref.Repo.String() + "/manifests/" + ref.Tag
	case kind != "docker":
		return bare + "?ns=" + url.QueryEscape(ref.Repo.Host)
	case len(m.Upstreams) > 0 && ref.Repo.Host != m.Upstreams[0]:
		return "/v2/" + ref.Repo.String() + "/manifests/" + ref.Tag
	}
	return bare
}

func ask(ctx context.Context, client *http.Client, method, url string, tell func(string)) error {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	req.Header["Accept"] = mirror.ManifestMediaTypes()
	resp, err := client.Do(req)
	if err != nil {
		return errors.Unwrap(err) // it would say again what is asked
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	tell(fmt.Sprintf("%s %s: %s", method, url, resp.Status))
	switch {
	case resp.StatusCode == http.StatusUnauthorized && method == http.MethodGet && resp.Header.Get("Docker-Distribution-Api-Version") != "":
		return nil // it wants a login, or a token that is given to anybody: what can be pulled without is asked next
	case resp.StatusCode == http.StatusUnauthorized:
		return errors.New("it asks for a login, which the client needs to have: see 'docker login' and the mirror's rules")
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers with %s", resp.Status)
	case method == http.MethodGet && resp.Header.Get("Docker-Distribution-Api-Version") == "":
		return errors.New("what answers there is no registry")
	}
	return nil
}

// client reaches m and follows no redirection, as it makes none.
func (m Mirror) client() (*http.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{}}
	if m.Cert != "" {
		cert, err := tls.LoadX509KeyPair(m.Cert, m.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot use the certificate %s with the key %s: %w", m.Cert, m.Key, err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{cert}
	}
	if m.CA != "" {
		text, err := os.ReadFile(m.CA)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("there is no certificate in %s", m.CA)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{
		Transport: transport, Timeout: checkTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// hint adds what to do about an error of the connection.
func hint(m Mirror, err error) error {
	unknown, wrongName, invalid := x509.UnknownAuthorityError{}, x509.HostnameError{}, x509.CertificateInvalidError{}
	switch {
	case m.Cert == "" && strings.Contains(err.Error(), "tls: certificate required"): // an alert, which has no type
		return fmt.Errorf("%w: clients have to show one, which 'mirror cert --client NAME' makes; name it with --cert and --key", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w; make a new one in its place, with 'mirror cert', or set the clock", err)
	case errors.As(err, &wrongName):
		return fmt.Errorf("%w; make one for that name: mirror cert --host", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; name its authority with --ca", err)
	case !m.TLS && strings.Contains(err.Error(), "400 Bad Request"):
		return fmt.Errorf("%w; it may be serving by TLS: say --tls", err)
	}
	return err
}
