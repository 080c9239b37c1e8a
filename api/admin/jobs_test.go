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

// work returns options with one job.
func work(job admin.Job) admin.Options {
	return admin.Options{Version: "v0", Jobs: map[string]admin.Job{"work": job}}
}

func TestJobTellsAsItGoes(t *testing.T) {
	goOn := make(chan struct{})
	job := func(_ context.Context, request json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, request)
		<-goOn // the client has read what was told, or this would not end
		if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
			report.Item(admin.KindNote, rest)
		}
		report.Item(admin.KindNote, "again")
		return mirror.Errorf(mirror.CodeUnavailable, "nobody is there")
	}
	onEach(t, work(job), func(t *testing.T, h house) {
		var got []string
		err := h.Job(t.Context(), "work", map[string]int{"n": 1}, nil, func(event admin.Event) error {
			got = append(got, string(event.Item))
			if len(got) == 1 {
				goOn <- struct{}{}
			}
			return nil
		})
		if mirror.CodeOf(err) != mirror.CodeUnavailable || err.Error() != "nobody is there" || !slices.Equal(got, []string{`{"n":1}`, `"again"`}) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// TestJobReadsWhileItTells has what is sent depend on what is told, line by line.
func TestJobReadsWhileItTells(t *testing.T) {
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
	onEach(t, work(echo), func(t *testing.T, h house) {
		body, say := io.Pipe()
		left, got := "abc", ""
		err := h.Job(t.Context(), "work", nil, body, func(event admin.Event) error {
			got += string(event.Item)
			if left == "" {
				return say.Close()
			}
			_, err := io.WriteString(say, left[:1])
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
		report.Item(admin.KindNote, "begun")
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	}
	onEach(t, work(job), func(t *testing.T, h house) {
		for name, body := range bodies(t) {
			ctx, interrupt := context.WithCancel(t.Context())
			err := h.Job(ctx, "work", nil, body(), func(admin.Event) error { interrupt(); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted with %s: %v", name, err)
			}
			<-ended
			enough := errors.New("enough")
			if err := h.Job(t.Context(), "work", nil, body(), func(admin.Event) error { return enough }); !errors.Is(err, enough) {
				t.Errorf("stopped with %s: %v", name, err)
			}
			<-ended
		}
	})
}

// bodies are what a client may have to send that is going away.
func bodies(t *testing.T) map[string]func() io.Reader {
	return map[string]func() io.Reader{
		"no body":        func() io.Reader { return nil },
		"all of it sent": func() io.Reader { return strings.NewReader("all") },
		"no end":         func() io.Reader { return endless{} },
		"nothing yet": func() io.Reader {
			body, say := io.Pipe()
			t.Cleanup(func() { say.Close() })
			return body
		},
	}
}

// endless has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestJobReadsNoPart has reading a body fail when it is not all there: no part is taken for the whole.
func TestJobReadsNoPart(t *testing.T) {
	read := make(chan error, 1)
	job := func(ctx context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "begun")
		_, err := io.Copy(io.Discard, body)
		read <- err
		<-ctx.Done()
		return err
	}
	onEach(t, work(job), func(t *testing.T, h house) {
		for name, body := range bodies(t) {
			if name == "no body" || name == "all of it sent" {
				continue
			}
			ctx, interrupt := context.WithCancel(t.Context())
			if err := h.Job(ctx, "work", nil, body(), func(admin.Event) error { interrupt(); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			if err := <-read; err == nil {
				t.Errorf("%s: taken for the whole", name)
			}
		}
		broken := io.MultiReader(strings.NewReader("some"), failing{errors.New("the disk is gone")})
		if err := h.Job(t.Context(), "work", nil, broken, ignore); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("what is sent cannot be read: %v", err)
		}
		if err := <-read; err == nil {
			t.Error("what could not be read is taken for the whole")
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func ignore(admin.Event) error { return nil }

// TestJobLeavesItsBody has jobs end that have not read all that is sent.
func TestJobLeavesItsBody(t *testing.T) {
	var fails error
	job := func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		if _, err := io.CopyN(io.Discard, body, 1<<20); err != nil {
			return err
		}
		for range 1000 {
			report.Item(admin.KindNote, strings.Repeat("much to tell ", 100)) // more than fits into the socket
		}
		return fails
	}
	onEach(t, work(job), func(t *testing.T, h house) {
		for _, fails = range []error{nil, mirror.Errorf(mirror.CodeDigestInvalid, "it is something else")} {
			told := 0
			err := h.Job(t.Context(), "work", nil, endless{}, func(admin.Event) error { told++; return nil })
			if told != 1000 || mirror.CodeOf(err) != mirror.CodeOf(fails) {
				t.Errorf("%d events, %v", told, err)
			}
		}
	})
	refuse := func(context.Context, json.RawMessage, io.Reader, admin.Report) error {
		return errors.New("the disk is full")
	}
	onEach(t, work(refuse), func(t *testing.T, h house) {
		for name, body := range bodies(t) {
			if err := h.Job(t.Context(), "work", nil, body(), nil); mirror.CodeOf(err) != mirror.CodeUnknown || err.Error() != "the disk is full" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.Status(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestJobStopsWithTheMirror has a mirror stop while a job waits for what is to be sent.
func TestJobStopsWithTheMirror(t *testing.T) {
	read := make(chan error, 1)
	ctx, stop := context.WithCancelCause(t.Context())
	job := func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "begun")
		_, err := io.ReadAll(body)
		read <- err
		return err
	}
	m, _ := open(t)
	handler := admin.New(m, work(job))
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner, cancel := context.WithCancelCause(r.Context())
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		handler.ServeHTTP(w, r.WithContext(inner))
	})
	body, say := io.Pipe()
	defer say.Close()
	err := admin.NewClient(overSocket(t, served)).Job(t.Context(), "work", nil, body, func(admin.Event) error {
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

func TestUnknownWork(t *testing.T) {
	onEach(t, work(nil), func(t *testing.T, h house) {
		for name, body := range bodies(t) {
			job := h.Job(t.Context(), "later", nil, body(), nil)
			_, out := h.Stream(t.Context(), "work", nil, body(), io.Discard)
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
	onEach(t, work(length), func(t *testing.T, h house) {
		for _, body := range []io.Reader{nil, strings.NewReader("more")} {
			var got string
			fits := bytes.Repeat([]byte("7"), 1<<20)
			must(t, h.Job(t.Context(), "work", json.RawMessage(fits), body, func(event admin.Event) error { got = string(event.Item); return nil }))
			if got != "1048576" {
				t.Errorf("%s bytes", got)
			}
		}
		large := bytes.Repeat([]byte("7"), 64<<20+1)
		if err := h.Job(t.Context(), "work", json.RawMessage(large), strings.NewReader("more"), nil); mirror.CodeOf(err) != mirror.CodeSizeInvalid {
			t.Errorf("too large: %v", err)
		}
	})
}
