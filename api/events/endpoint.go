package events

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"airmirror/mirror"
)

// Endpoint is where events are sent. Name and URL are needed.
type Endpoint struct {
	// Name is what it is called in logs and metrics, and its queue on the disk.
	Name string
	// URL is http or https. Logs, errors and [Status] tell only its host, as there may be a secret in the rest.
	URL     string
	Headers []Header
	// Timeout is how long an answer may take; 10 s if it is zero.
	Timeout time.Duration
	// CAFile has certificates, in PEM, to trust beside the system's.
	CAFile string
	// Actions are what it is told of; everything if there are none.
	Actions []Action
	// Match are patterns, see [mirror.Match], of the repositories that it is told of, with their host or as the mirror
	// serves them; all if there are none. Ignore are those of which it is never told.
	Match, Ignore []string
	// IgnoreMediaTypes are those of targets that it is not told of: application/octet-stream for blobs.
	IgnoreMediaTypes []string
	// Batch is how many events are sent at a time at the most; 100 if it is zero.
	Batch int
	// Offline says that it is on this side of the gap: it is dialled whatever the mode. If it is, it is by no proxy;
	// others are by that of the environment.
	Offline bool
}

// Header is one of the headers of requests to an endpoint.
type Header struct {
	Name, Value string
	// ValueFile holds the value in place of Value, with or without an end of line. It is read for each request.
	ValueFile string
}

const (
	defaultTimeout = 10 * time.Second
	defaultBatch   = 100
	maxBatch       = 1000
)

// names of endpoints are names of folders and values of labels as well.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

var validHeader = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// ours are the headers that say what is sent, which is not for others to say.
var reservedHeaders = []string{"Host", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection", "Trailer", "Upgrade"}

// Validate reports what is wrong with an endpoint, without reading files. It names no value of a header, nor the URL.
func (e Endpoint) Validate() error {
	if !validName.MatchString(e.Name) {
		return fmt.Errorf("%q is not a name for an endpoint: want letters, digits, and _ . - after the first", e.Name)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("endpoint %s: %w", e.Name, fmt.Errorf(format, args...))
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fail("its url is not one like https://listener.example/events")
	case u.User != nil:
		return fail("there is a name or a password in its url: say it in a header, Authorization")
	case e.Timeout < 0:
		return fail("its timeout is negative")
	case e.Batch < 0 || e.Batch > maxBatch:
		return fail("batch %d: want 1 to %d", e.Batch, maxBatch)
	}
	for _, action := range e.Actions {
		if !slices.Contains(Actions, action) {
			return fail("there is no action %s: there are %s", action, strings.ReplaceAll(strings.Trim(fmt.Sprint(Actions), "[]"), " ", ", "))
		}
	}
	for _, pattern := range slices.Concat(e.Match, e.Ignore) {
		if !mirror.ValidPattern(pattern) {
			return fail("%q is not a pattern of repositories", pattern)
		}
	}
	for _, h := range e.Headers {
		if err := h.validate(); err != nil {
			return fail("%w", err)
		}
	}
	return nil
}

func (h Header) validate() error {
	switch {
	case !validHeader.MatchString(h.Name):
		return fmt.Errorf("%q is not the name of a header", h.Name)
	case slices.Contains(reservedHeaders, http.CanonicalHeaderKey(h.Name)):
		return fmt.Errorf("the header %s is the mirror's to say", h.Name)
	case h.Value != "" && h.ValueFile != "":
		return fmt.Errorf("the header %s has both a value and a valueFile", h.Name)
	}
	return h.sane(h.Value)
}

// sane reports whether a value cannot stand in a header, without saying what it is.
func (h Header) sane(value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("the header %s has a value of several lines, or with control characters in it", h.Name)
	}
	return nil
}

// read returns the value of a header.
func (h Header) read() (string, error) {
	if h.ValueFile == "" {
		return h.Value, nil
	}
	text, err := os.ReadFile(h.ValueFile)
	if err != nil {
		return "", fmt.Errorf("read the header %s: %w", h.Name, err)
	}
	value := strings.TrimSpace(string(mirror.Text(text)))
	return value, h.sane(value)
}

// wants reports whether an endpoint is to be told of an event about a repository.
func (e *Endpoint) accepts(action Action, t *Target, repo mirror.Repo) bool {
	if len(e.Actions) > 0 && !slices.Contains(e.Actions, action) || slices.Contains(e.IgnoreMediaTypes, t.MediaType) {
		return false
	}
	among := func(patterns []string) bool {
		return mirror.MatchAny(patterns, t.Repository) || mirror.MatchAny(patterns, repo.String())
	}
	return (len(e.Match) == 0 || among(e.Match)) && (len(e.Ignore) == 0 || !among(e.Ignore))
}

// authorities reads the file of certificates to trust; nil if there is none.
func (e Endpoint) authorities() ([]byte, error) {
	if e.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(e.CAFile)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(bytes.Clone(pem)) {
		err = errors.New(e.CAFile + " holds no certificate in PEM")
	}
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: read its CA certificates: %w", e.Name, err)
	}
	return pem, nil
}

// client returns what sends to the endpoint. Each request has a connection of its own: none is left open when the mirror
// goes offline, and none is dialled but while its request waits for it.
func (e Endpoint) client(pem []byte) (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: defaultTimeout}
	if e.Offline {
		transport.Proxy = nil
	}
	if pem != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's CA certificates: %w", err)
		}
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &http.Client{
		Transport: transport, Timeout: e.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
