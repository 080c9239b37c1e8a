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

// listener is what events are sent to. It is made outside of a clock of its own, where its connections do not keep
// that from going on.
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

// answers has the listener answer so from now on.
func (l *listener) answers(answer func(w http.ResponseWriter, r *http.Request, got []events.Event)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = answer
}

func status(code int) func(http.ResponseWriter, *http.Request, []events.Event) {
	return func(w http.ResponseWriter, _ *http.Request, _ []events.Event) { w.WriteHeader(code) }
}

// tags are what the listener took, in order, and in how many envelopes that came.
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

// requests is how often the listener was asked.
func (l *listener) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// has fails the test unless the listener took the events n up to before end, in order, each once.
func (l *listener) has(t *testing.T, n, end int) {
	t.Helper()
	var want []string
	for ; n < end; n++ {
		want = append(want, tag(n))
	}
	if got, _ := l.tags(); !slices.Equal(got, want) {
		t.Errorf("%d events came: %s; want %s", len(got), got, want)
	}
}

func tag(n int) string { return fmt.Sprintf("v%d", n) }

// happen has the events n up to before end happen.
func happen(e *events.Events, n, end int) {
	for ; n < end; n++ {
		e.Want(mirror.Want{Ref: "docker.io/library/app:" + tag(n)})
	}
}

const bound = 8 << 20

// start returns events for endpoints, which are delivered unless link is nil.
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

// online is a link that does not end.
func online() (context.Context, <-chan struct{}) { return context.Background(), nil }

func (l *listener) endpoint() events.Endpoint { return events.Endpoint{Name: "listener", URL: l.URL} }

// statusOf is how the only endpoint is doing.
func statusOf(t *testing.T, e *events.Events) events.Status {
	t.Helper()
	all := e.Status()
	if len(all) != 1 {
		t.Fatalf("%d endpoints", len(all))
	}
	return all[0]
}

// inTime runs a test with a clock of its own, which stands still while anything happens.
func inTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// open opens a mirror over a folder of its own.
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
