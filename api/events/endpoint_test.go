package events_test

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/api/events"
	"airmirror/mirror"
)

func TestEndpointFilters(t *testing.T) {
	l := newListener(t)
	for name, tt := range map[string]struct {
		endpoint events.Endpoint
		want     string // tags of the events that it gets
	}{
		"everything":                   {events.Endpoint{}, "app blob ghcr import"},
		"actions":                      {events.Endpoint{Actions: []events.Action{events.Import, events.Push}}, "import"},
		"no blobs":                     {events.Endpoint{IgnoreMediaTypes: []string{"application/octet-stream"}}, "app ghcr import"},
		"repositories, as served":      {events.Endpoint{Match: []string{"library/*"}}, "app blob import"},
		"repositories, with the host":  {events.Endpoint{Match: []string{"ghcr.io/**"}}, "ghcr"},
		"repositories, with any host":  {events.Endpoint{Match: []string{"docker.io/**", "ghcr.io/org/app"}}, "app blob ghcr import"},
		"repositories that are not":    {events.Endpoint{Ignore: []string{"docker.io/library/app"}}, "ghcr import"},
		"repositories of others":       {events.Endpoint{Match: []string{"**"}, Ignore: []string{"library/*"}}, "ghcr"},
		"what none of the events are":  {events.Endpoint{Actions: []events.Action{events.Delete}}, ""},
		"what is in no repository yet": {events.Endpoint{Match: []string{"quay.io/**"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l.took = nil
			inTime(t, func(t *testing.T) {
				endpoint := tt.endpoint
				endpoint.Name, endpoint.URL = "listener", l.URL
				e := start(t, t.TempDir(), online, endpoint)
				blob := digest.FromString("blob")
				e.Want(mirror.Want{Ref: "docker.io/library/app:app"})
				e.Want(mirror.Want{Ref: "docker.io/library/app@" + blob.String(), Blob: true, Reason: "the mirror is offline", Clients: []string{"10.0.0.1"}})
				e.Want(mirror.Want{Ref: "ghcr.io/org/app:ghcr"})
				e.Imported(t.Context(), "ann", "docker.io/library/tool", "import", blob)
				synctest.Wait()
				var got []string
				for _, envelope := range l.took {
					for _, e := range envelope {
						if e.Target.Tag == "" && (e.Target.Digest != blob || e.Target.MediaType != "application/octet-stream" || e.Reason != "the mirror is offline" || e.Request.Addr != "10.0.0.1") ||
							e.Action == events.Import && (e.Actor.Name != "ann" || e.Target.Digest != blob) {
							t.Errorf("%+v", e)
						}
						got = append(got, cmp.Or(e.Target.Tag, "blob"))
					}
				}
				slices.Sort(got) // the import may come first
				if s := strings.Join(got, " "); s != tt.want {
					t.Errorf("received events of %q, want %q", s, tt.want)
				}
			})
		})
	}
}

func TestInvalidEndpoints(t *testing.T) {
	good := events.Endpoint{Name: "listener", URL: "https://listener.corp/events?key=secret"}
	must(t, good.Validate())
	must(t, events.Endpoint{Name: strings.Repeat("a", 64), URL: good.URL}.Validate())
	for want, change := range map[string]func(*events.Endpoint){
		"is not a valid endpoint name": func(e *events.Endpoint) { e.Name = "../listener" },
		"not a valid endpoint name":    func(e *events.Endpoint) { e.Name = ".." },
		"use at most 64 letters":       func(e *events.Endpoint) { e.Name = strings.Repeat("a", 65) },
		"of the form https:":           func(e *events.Endpoint) { e.URL = "ftp://secret" },
		"the url must be of the form":  func(e *events.Endpoint) { e.URL = "https://%zz@secret" },
		"use the Authorization header": func(e *events.Endpoint) { e.URL = "https://ann:secret@listener.corp" },
		"unknown action pushed":        func(e *events.Endpoint) { e.Actions = []events.Action{"pushed"} },
		"is not a valid pattern":       func(e *events.Endpoint) { e.Match = []string{"["} },
		"not a valid pattern":          func(e *events.Endpoint) { e.Ignore = []string{"["} },
		"batch 1001":                   func(e *events.Endpoint) { e.Batch = 1001 },
		"not a valid header name":      func(e *events.Endpoint) { e.Headers = []events.Header{{Name: "a b"}} },
		"is set by the mirror":         func(e *events.Endpoint) { e.Headers = []events.Header{{Name: "content-type"}} },
		"both a value and a valueFile": func(e *events.Endpoint) { e.Headers = []events.Header{{Name: "a", Value: "secret", ValueFile: "b"}} },
		"control characters":           func(e *events.Endpoint) { e.Headers = []events.Header{{Name: "a", Value: "secret\r\nb: c"}} },
	} {
		e := good
		change(&e)
		if err := e.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v, want one that says %q, and no secret", err, want)
		}
	}
	e := events.New(events.Options{Dir: t.TempDir()})
	defer e.Close()
	twice := good
	twice.Name = "Listener"
	for _, endpoints := range [][]events.Endpoint{{good, twice}, {{Name: "a", URL: good.URL, CAFile: "missing"}}} {
		if _, err := e.Configure(endpoints, bound); err == nil {
			t.Errorf("%+v was accepted", endpoints)
		}
	}
}

// TestSecretsDoNotLeak checks that no secret of an endpoint is in the logs or in the status, however the endpoint
// fails.
func TestSecretsDoNotLeak(t *testing.T) {
	l := newListener(t)
	l.answers(func(w http.ResponseWriter, _ *http.Request, _ []events.Event) {
		w.Header().Set("Location", "http://elsewhere.corp/?key=secret")
		w.WriteHeader(302)
	})
	invalid := newListener(t)
	invalid.answers(func(w http.ResponseWriter, _ *http.Request, _ []events.Event) {
		w.Header().Set("Location", "http://elsewhere.corp/%zz?key=secret")
		w.WriteHeader(302)
	})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	must(t, os.WriteFile(broken, []byte("secret\nsecret"), 0o600))
	core, logs := observer.New(zapcore.DebugLevel)
	e := events.New(events.Options{Dir: filepath.Join(dir, "events"), Log: zap.New(core)})
	defer e.Close()
	header := events.Header{Name: "Authorization", Value: "secret"}
	configure(t, e, bound,
		events.Endpoint{Name: "elsewhere", URL: l.URL + "/secret", Headers: []events.Header{header}},
		events.Endpoint{Name: "invalid", URL: invalid.URL},
		events.Endpoint{Name: "closed", URL: "http://" + closed.Addr().String() + "/?key=secret", Headers: []events.Header{header}},
		events.Endpoint{Name: "unknown", URL: "http://no-such-host.invalid/secret", Timeout: time.Second},
		events.Endpoint{Name: "broken", URL: l.URL, Headers: []events.Header{{Name: "Authorization", ValueFile: broken}}},
		events.Endpoint{Name: "missing", URL: l.URL, Headers: []events.Header{{Name: "Authorization", ValueFile: filepath.Join(dir, "none")}}},
	)
	e.Deliver(online)
	happen(e, 0, 1)
	eventually(t, func() bool {
		return !slices.ContainsFunc(e.Status(), func(s events.Status) bool { return s.Failed == 0 })
	})
	told, err := json.Marshal(e.Status())
	must(t, err)
	for _, entry := range logs.All() {
		text, err := json.Marshal(entry.ContextMap())
		must(t, err)
		told = append(append(told, entry.Message...), text...)
	}
	if logs.Len() < 5 || strings.Contains(string(told), "secret") {
		t.Errorf("%d lines are logged: %s", logs.Len(), told)
	}
}

// TestHeadersAndCertificatesFromFiles: headers are read for each request, certificates with the settings.
func TestHeadersAndCertificatesFromFiles(t *testing.T) {
	l := &listener{t: t}
	l.Server = httptest.NewUnstartedServer(l)
	l.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.StartTLS()
	t.Cleanup(l.Close)
	dir := t.TempDir()
	token, authority := filepath.Join(dir, "token"), filepath.Join(dir, "ca.pem")
	must(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw}), 0o600))
	must(t, os.WriteFile(token, []byte("one\n"), 0o600))
	endpoint := l.endpoint()
	e := start(t, filepath.Join(dir, "events"), online, endpoint)
	happen(e, 0, 1)
	eventually(t, func() bool { return strings.Contains(statusOf(t, e).Error, "unknown authority") })
	endpoint.CAFile, endpoint.Headers = authority, []events.Header{{Name: "X-Token", ValueFile: token}}
	configure(t, e, bound, endpoint)
	for n, want := range []string{"one", "two"} {
		eventually(t, func() bool { return statusOf(t, e).Delivered == uint64(n+1) })
		if got := l.header.Get("X-Token"); got != want {
			t.Errorf("the token is %s, want %s", got, want)
		}
		must(t, os.WriteFile(token, []byte("two"), 0o600))
		happen(e, n+1, n+2)
	}
}

// TestQueuesSurviveReconfiguration: a queue belongs to the name of its endpoint and stays when the endpoint is removed.
func TestQueuesSurviveReconfiguration(t *testing.T) {
	first, second := newListener(t), newListener(t)
	inTime(t, func(t *testing.T) {
		first.answers(status(500))
		e := start(t, t.TempDir(), online, first.endpoint())
		happen(e, 0, 3)
		time.Sleep(time.Hour)
		elsewhere := first.endpoint()
		elsewhere.URL = second.URL
		use, err := e.Configure([]events.Endpoint{elsewhere}, bound)
		must(t, err)
		time.Sleep(time.Hour)
		second.has(t, 0, 0) // not in effect yet
		use()
		synctest.Wait()
		second.has(t, 0, 3)
		happen(e, 3, 4)
		synctest.Wait()
		second.has(t, 0, 4)
		second.answers(status(500))
		happen(e, 4, 5)
		synctest.Wait()
		configure(t, e, bound)
		happen(e, 100, 110) // no endpoint
		if all := e.Status(); len(all) != 0 {
			t.Errorf("%+v", all)
		}
		second.answers(nil)
		configure(t, e, bound, elsewhere)
		synctest.Wait()
		second.has(t, 0, 5)
	})
}

func TestNilEvents(t *testing.T) {
	var none *events.Events
	none.Request(nil)
	none.Want(mirror.Want{})
	none.Imported(t.Context(), "", "", "", "")
	none.Deliver(online)
	none.Close()
	if none.Status() != nil {
		t.Error("nil Events have a status")
	}
}
