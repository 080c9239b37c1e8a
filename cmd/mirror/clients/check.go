package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// checkTimeout is how long a mirror may take to answer one question: it is near, and holds what it is asked for.
const checkTimeout = 10 * time.Second

// StatContent is an image that a mirror has, to be pulled by [Check]. The zero value is none.
type Held struct {
	Ref      mirror.Ref
	Manifest digest.Digest // of one platform of it
}

// way is how a version of a client asks for what a registry has.
type way struct {
	client string
	// path is the repository in a URL, query what comes with each request.
	path, query string
	// login says that it shows the credentials of the setup.
	login bool
	// may says that it need not succeed: its versions are known not to.
	may bool
}

// ways are those of a kind of client for the repositories of a registry.
func ways(kind string, m Mirror, repo mirror.Repo) []way {
	ns := "?ns=" + url.QueryEscape(repo.Host)
	switch {
	case kind == "podman" || kind == "crio":
		return []way{{client: kind, path: repo.String(), login: true}}
	case kind != "docker":
		return []way{{client: kind, path: repo.Path, query: ns, login: true}}
	}
	classic := way{client: "docker up to 28", path: repo.Path, may: m.User != ""}
	if len(m.Upstreams) > 0 && repo.Host != m.Upstreams[0] { // by the mirror's name, for which there is a login
		classic.path, classic.login, classic.may = repo.String(), true, false
	}
	return []way{classic, {client: "docker 29", path: repo.Path, query: ns, login: true}}
}

// Check pulls an image from m as a kind of client would, and tells what it asked and what came of it. Where there is no
// image it asks for a blob that there is not, which shows whether the client may pull. The error says what to do.
func Check(ctx context.Context, kind string, m Mirror, held Held, tell func(string)) error {
	client, err := m.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	p := &puller{client: client, m: m, tell: tell}
	if err := p.ping(ctx); err != nil {
		return fmt.Errorf("%s is no registry to this machine: %w", m.URL(), hint(m, err))
	}
	repo := held.Ref.Repo
	if repo == (mirror.Repo{}) {
		repo = mirror.Repo{Host: mirror.DockerHub, Path: "library/busybox"}
		if len(m.Upstreams) > 0 {
			repo.Host = m.Upstreams[0]
		}
	}
	for _, w := range ways(kind, m, repo) {
		p.way, p.authorization = w, ""
		switch err := p.pull(ctx, held); {
		case err != nil && w.may:
			tell(fmt.Sprintf("%s cannot pull through %s: %v", w.client, m.URL(), err))
		case err != nil:
			return fmt.Errorf("%s cannot pull %s: %w", w.client, repo, err)
		case held == Held{}:
			tell(fmt.Sprintf("%s may pull through %s; no image is stored yet that it could pull", w.client, m.URL()))
		default:
			tell(fmt.Sprintf("%s can pull through %s: %s came", w.client, m.URL(), held.Ref))
		}
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
