//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// fuse kills a mirror in the middle of one of the requests that go over it. Counting up, it does so at every point of an
// exchange in turn, which no kill at a random time does.
type fuse struct {
	http.RoundTripper
	server *server

	mu   sync.Mutex
	left int // the request that makes it 0 blows the fuse
}

// RoundTrip sends a request; the one that blows the fuse dies in the middle of its own body, or of the answer's.
func (f *fuse) RoundTrip(request *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.left--
	blows := f.left == 0
	f.mu.Unlock()
	switch {
	case !blows:
		return f.RoundTripper.RoundTrip(request)
	case request.Method == http.MethodGet:
		response, err := f.RoundTripper.RoundTrip(request)
		if err != nil { // a client that tries https first
			f.server.kill()
			return nil, err
		}
		response.Body = f.within(response.Body, response.ContentLength)
		return response, nil
	case request.ContentLength != 0 && request.Body != nil:
		request.Body = f.within(request.Body, request.ContentLength)
	default:
		f.server.kill()
	}
	return f.RoundTripper.RoundTrip(request)
}

// within puts the fuse halfway into a body, or near its beginning if its length is not known. One that is not read that
// far is as good as read.
func (f *fuse) within(body io.ReadCloser, length int64) io.ReadCloser {
	kill := killer{body, f.server}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, max(length/2, 1)), kill, body), kill}
}

// killer kills the server when it is read or closed.
type killer struct {
	io.ReadCloser
	server *server
}

func (k killer) Read([]byte) (int, error) {
	k.server.kill()
	return 0, io.EOF
}

func (k killer) Close() error {
	k.server.kill()
	return k.ReadCloser.Close()
}

// push pushes over the fuse, one request after the other, and none again when it failed.
func (f *fuse) push(t *testing.T, index v1.ImageIndex, reference string) error {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return remote.WriteIndex(ref, index, remote.WithTransport(f), remote.WithJobs(1),
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes())
}

// link is the line between a mirror and its upstream, with a place for a fuse in it.
type link struct {
	flag string // that makes a mirror use it

	mu   sync.Mutex
	fuse *fuse
}

func newLink(t *testing.T, to *upstream) *link {
	t.Helper()
	l := &link{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to.addr})
	proxy.Transport = l
	proxy.FlushInterval = -1 // a mirror has received what was read before the fuse blows
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	l.flag = "--upstream=docker.io=" + server.URL
	return l
}

func (l *link) set(f *fuse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fuse = f
}

// RoundTrip sends a request of the proxy over the fuse.
func (l *link) RoundTrip(request *http.Request) (*http.Response, error) {
	l.mu.Lock()
	fuse := l.fuse
	l.mu.Unlock()
	return fuse.RoundTrip(request)
}

// incompressible is text that gzip makes little of, so that a layer has a middle.
func incompressible(size int) string {
	var text strings.Builder
	for text.Len() < size {
		text.WriteString(rand.Text())
	}
	return text.String()
}
