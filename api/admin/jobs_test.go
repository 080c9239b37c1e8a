package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// withJob returns options with one job, which is also a call.
func withJob(job admin.Job) admin.Options {
	work := map[string]admin.Job{"work": job}
	return admin.Options{Version: "v0", Jobs: work, Calls: work}
}

func TestJobSendsEventsAtOnce(t *testing.T) {
	received := make(chan struct{})
	job := func(_ context.Context, request json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, request)
		<-received // blocks until the client has received the first event
		if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
			report.Item(admin.KindNote, rest)
		}
		report.Item(admin.KindNote, "again")
		return mirror.Errorf(mirror.CodeUnavailable, "the job failed")
	}
	eachTransport(t, withJob(job), func(t *testing.T, m testMirror) {
		var got []string
		err := m.Job(t.Context(), "work", map[string]int{"n": 1}, nil, func(event admin.Event) error {
			got = append(got, string(event.Item))
			if len(got) == 1 {
				received <- struct{}{}
			}
			return nil
		})
		if mirror.CodeOf(err) != mirror.CodeUnavailable || err.Error() != "the job failed" || !slices.Equal(got, []string{`{"n":1}`, `"again"`}) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// TestJobReadsWhileItSends has a client that sends each byte after it has received an event.
func TestJobReadsWhileItSends(t *testing.T) {
	echo := func(_ context.Context, request json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, string(request))
		one := make([]byte, 1)
		for {
			switch _, err := io.ReadFull(body, one); err {
			case nil:
				report.Item(admin.KindNote, string(one))
			case io.EOF:
				return nil
			default:
				return err
			}
		}
	}
	eachTransport(t, withJob(echo), func(t *testing.T, m testMirror) {
		body, sender := io.Pipe()
		left, got := "abc", ""
		err := m.Job(t.Context(), "work", nil, body, func(event admin.Event) error {
			got += string(event.Item)
			if left == "" {
				return sender.Close()
			}
			_, err := io.WriteString(sender, left[:1])
			left = left[1:]
			return err
		})
		if err != nil || got != `"null""a""b""c"` {
			t.Errorf("%s, %v", got, err)
		}
	})
}

func TestJobEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	job := func(ctx context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "started")
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	}
	eachTransport(t, withJob(job), func(t *testing.T, m testMirror) {
		for name, body := range bodies(t) {
			ctx, interrupt := context.WithCancel(t.Context())
			err := m.Job(ctx, "work", nil, body(), func(admin.Event) error { interrupt(); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted with %s: %v", name, err)
			}
			<-ended
			stop := errors.New("stop")
			if err := m.Job(t.Context(), "work", nil, body(), func(admin.Event) error { return stop }); !errors.Is(err, stop) {
				t.Errorf("stopped with %s: %v", name, err)
			}
			<-ended
		}
	})
}

// bodies are the bodies of requests whose client disconnects.
func bodies(t *testing.T) map[string]func() io.Reader {
	return map[string]func() io.Reader{
		"no body":         func() io.Reader { return nil },
		"a complete body": func() io.Reader { return strings.NewReader("all") },
		"an endless body": func() io.Reader { return endless{} },
		"a body that has not started": func() io.Reader {
			body, sender := io.Pipe()
			t.Cleanup(func() { sender.Close() })
			return body
		},
	}
}

// endless is a reader without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestIncompleteBodyIsAnError checks that reading a body fails after its client has disconnected.
func TestIncompleteBodyIsAnError(t *testing.T) {
	read := make(chan error, 1)
	job := func(ctx context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "started")
		_, err := io.Copy(io.Discard, body)
		read <- err
		<-ctx.Done()
		return err
	}
	eachTransport(t, withJob(job), func(t *testing.T, m testMirror) {
		for name, body := range bodies(t) {
			if name == "no body" || name == "a complete body" {
				continue
			}
			ctx, interrupt := context.WithCancel(t.Context())
			if err := m.Job(ctx, "work", nil, body(), func(admin.Event) error { interrupt(); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			if err := <-read; err == nil {
				t.Errorf("%s: read without an error", name)
			}
		}
		broken := io.MultiReader(strings.NewReader("some"), failing{errors.New("the disk failed")})
		if err := m.Job(t.Context(), "work", nil, broken, ignore); err == nil || !strings.Contains(err.Error(), "the disk failed") {
			t.Errorf("a body that cannot be read: %v", err)
		}
		if err := <-read; err == nil {
			t.Error("a body that cannot be read ends without an error")
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func ignore(admin.Event) error { return nil }

// TestJobNeedNotReadItsBody ends jobs before they have read their whole body.
func TestJobNeedNotReadItsBody(t *testing.T) {
	var fails error
	job := func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		if _, err := io.CopyN(io.Discard, body, 1<<20); err != nil {
			return err
		}
		for range 1000 {
			report.Item(admin.KindNote, strings.Repeat("a long event ", 100)) // more than the buffers of a socket hold
		}
		return fails
	}
	eachTransport(t, withJob(job), func(t *testing.T, m testMirror) {
		for _, fails = range []error{nil, mirror.Errorf(mirror.CodeDigestInvalid, "digest mismatch")} {
			received := 0
			err := m.Job(t.Context(), "work", nil, endless{}, func(admin.Event) error { received++; return nil })
			if received != 1000 || mirror.CodeOf(err) != mirror.CodeOf(fails) {
				t.Errorf("%d events, %v", received, err)
			}
		}
	})
	refuse := func(context.Context, json.RawMessage, io.Reader, admin.Report) error {
		return errors.New("the disk is full")
	}
	eachTransport(t, withJob(refuse), func(t *testing.T, m testMirror) {
		for name, body := range bodies(t) {
			if err := m.Job(t.Context(), "work", nil, body(), nil); mirror.CodeOf(err) != mirror.CodeUnknown || err.Error() != "the disk is full" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := m.Status(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestJobStopsWithTheMirror stops a mirror while a job waits for its input.
func TestJobStopsWithTheMirror(t *testing.T) {
	read := make(chan error, 1)
	job := func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "started")
		_, err := io.ReadAll(body)
		read <- err
		return err
	}
	m, _ := open(t)
	handler := admin.New(m, withJob(job))
	client := admin.NewClient(bySocket(t, admin.Local(handler)))
	body, sender := io.Pipe()
	defer sender.Close()
	err := client.Job(t.Context(), "work", nil, body, func(admin.Event) error {
		go handler.Close(t.Context())
		return nil
	})
	if mirror.CodeOf(err) != mirror.CodeUnavailable || !strings.Contains(err.Error(), admin.ErrShutdown.Error()) {
		t.Errorf("stopped: %v", err)
	}
	if err := <-read; !errors.Is(err, admin.ErrShutdown) {
		t.Errorf("its input: %v", err)
	}
	if err := client.Job(t.Context(), "work", nil, nil, ignore); mirror.CodeOf(err) != mirror.CodeUnavailable {
		t.Errorf("started after the end: %v", err)
	}
}

// TestCallStopsWithTheMirror stops a mirror while a call waits for its body.
func TestCallStopsWithTheMirror(t *testing.T) {
	read := make(chan error, 1)
	ctx, stop := context.WithCancelCause(t.Context())
	call := func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "started")
		_, err := io.ReadAll(body)
		read <- err
		return err
	}
	m, _ := open(t)
	handler := admin.Local(admin.New(m, withJob(call)))
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner, cancel := context.WithCancelCause(r.Context())
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		handler.ServeHTTP(w, r.WithContext(inner))
	})
	body, sender := io.Pipe()
	defer sender.Close()
	err := admin.NewClient(bySocket(t, served)).Call(t.Context(), "work", nil, body, func(admin.Event) error {
		stop(admin.ErrShutdown)
		return nil
	})
	if mirror.CodeOf(err) != mirror.CodeUnavailable || !strings.Contains(err.Error(), admin.ErrShutdown.Error()) {
		t.Errorf("stopped: %v", err)
	}
	if err := <-read; !errors.Is(err, admin.ErrShutdown) {
		t.Errorf("its body: %v", err)
	}
}

func TestUnknownJob(t *testing.T) {
	eachTransport(t, withJob(nil), func(t *testing.T, m testMirror) {
		for name, body := range bodies(t) {
			job := m.Job(t.Context(), "later", nil, body(), nil)
			_, out := m.Stream(t.Context(), "work", nil, body(), io.Discard)
			for _, err := range []error{job, out} {
				if mirror.CodeOf(err) != mirror.CodeUnsupported || !strings.Contains(err.Error(), "another version than the server (v0)") {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}

func TestLargeRequest(t *testing.T) {
	length := func(_ context.Context, request json.RawMessage, _ io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, len(request))
		return nil
	}
	eachTransport(t, withJob(length), func(t *testing.T, m testMirror) {
		for _, body := range []io.Reader{nil, strings.NewReader("more")} {
			var got string
			fits := bytes.Repeat([]byte("7"), 1<<20)
			must(t, m.Job(t.Context(), "work", json.RawMessage(fits), body, func(event admin.Event) error { got = string(event.Item); return nil }))
			if got != "1048576" {
				t.Errorf("%s bytes", got)
			}
		}
		large := bytes.Repeat([]byte("7"), 64<<20+1)
		if err := m.Job(t.Context(), "work", json.RawMessage(large), strings.NewReader("more"), nil); mirror.CodeOf(err) != mirror.CodeSizeInvalid {
			t.Errorf("too large: %v", err)
		}
	})
}
