package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"airmirror/api/events"
	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listener receives events. It is created outside of the synctest bubble, because its connections would stop the fake
// clock there.
type listener struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request, got []events.Event)
	asked  int
	took   [][]events.Event // envelopes that were answered 2xx
	header http.Header      // of the last request
}

func newListener(t *testing.T) *listener {
	l := &listener{t: t}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var envelope struct{ Events []events.Event }
	if err == nil {
		err = json.Unmarshal(body, &envelope)
	}
	if err != nil || len(envelope.Events) == 0 {
		l.t.Errorf("an envelope is %q: %v", body, err)
	}
	l.mu.Lock()
	l.asked++
	l.header = r.Header
	answer := l.answer
	l.mu.Unlock()
	status := httptest.NewRecorder()
	status.Code = http.StatusOK
	if answer != nil {
		answer(status, r, envelope.Events)
	}
	l.mu.Lock()
	if status.Code < 300 {
		l.took = append(l.took, envelope.Events)
	}
	l.mu.Unlock()
	for key, values := range status.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(status.Code)
}

// answers sets the handler for requests from now on.
func (l *listener) answers(answer func(w http.ResponseWriter, r *http.Request, got []events.Event)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

func status(code int) func(http.ResponseWriter, *http.Request, []events.Event) {
	return func(w http.ResponseWriter, _ *http.Request, _ []events.Event) { w.WriteHeader(code) }
}

// tags returns the tags of the received events, in order, and the number of envelopes.
func (l *listener) tags() (tags []string, envelopes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, envelope := range l.took {
		for _, e := range envelope {
			tags = append(tags, e.Target.Tag)
		}
	}
	return tags, len(l.took)
}

// requests returns the number of requests.
func (l *listener) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// has checks that the listener received the events from n to end-1 once and in order.
func (l *listener) has(t *testing.T, n, end int) {
	t.Helper()
	var want []string
	for ; n < end; n++ {
		want = append(want, tag(n))
	}
	if got, _ := l.tags(); !slices.Equal(got, want) {
		t.Errorf("received %d events: %s; want %s", len(got), got, want)
	}
}

func tag(n int) string { return fmt.Sprintf("v%d", n) }

// happen queues the events from n to end-1.
func happen(e *events.Events, n, end int) {
	for ; n < end; n++ {
		e.Want(mirror.Want{Ref: "docker.io/library/app:" + tag(n)})
	}
}

const bound = 8 << 20

// start returns Events for endpoints. They are delivered unless link is nil.
func start(t *testing.T, dir string, link events.Link, endpoints ...events.Endpoint) *events.Events {
	t.Helper()
	e := events.New(events.Options{Dir: dir, URL: func() string { return "https://mirror.test:5000" }, Address: "mirror.test:5000", Agent: "mirror/test"})
	t.Cleanup(e.Close)
	configure(t, e, bound, endpoints...)
	if link != nil {
		e.Deliver(link)
	}
	return e
}

func configure(t *testing.T, e *events.Events, bound int64, endpoints ...events.Endpoint) {
	t.Helper()
	use, err := e.Configure(endpoints, bound)
	must(t, err)
	use()
}

// online is a link that is always up.
func online() (context.Context, <-chan struct{}) { return context.Background(), nil }

func (l *listener) endpoint() events.Endpoint { return events.Endpoint{Name: "listener", URL: l.URL} }

// statusOf returns the status of the only endpoint.
func statusOf(t *testing.T, e *events.Events) events.Status {
	t.Helper()
	all := e.Status()
	if len(all) != 1 {
		t.Fatalf("%d endpoints", len(all))
	}
	return all[0]
}

// inTime runs a test with a fake clock.
func inTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// open opens a mirror with a new folder.
func open(t *testing.T, opts proxy.Options) *proxy.Proxy {
	t.Helper()
	dir := t.TempDir()
	store, err := cache.Open(cache.Config{Folder: dir})
	must(t, err)
	opts.Log = zap.NewNop()
	m, err := proxy.New(store, nil, opts)
	must(t, err)
	t.Cleanup(func() {
		must(t, m.Close(context.Background()))
		must(t, store.Close())
	})
	return m
}
