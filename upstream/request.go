package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"airmirror/mirror"
)

// target is what a request is about.
type target struct {
	kind kind
	repo mirror.Repo
	id   string // a tag or a digest
}

type kind string

const (
	aManifest kind = "manifest"
	aBlob     kind = "blob"
)

// String names the target in a message.
func (t target) String() string {
	if t.kind == aManifest {
		return fmt.Sprintf("manifest %s of %s", t.id, t.repo)
	}
	return fmt.Sprintf("blob %s of %s", t.id, t.repo)
}

// unknown is the code for an upstream that does not have the target.
func (t target) unknown() mirror.Code {
	if t.kind == aManifest {
		return mirror.CodeManifestUnknown
	}
	return mirror.CodeBlobUnknown
}

// request returns the request for t at endpoint e.
func (t target) request(ctx context.Context, method string, e Endpoint) (*http.Request, error) {
	u := *e.URL
	u.Path = "/v2/" + e.path(t.repo) + "/" + string(t.kind) + "s/" + t.id
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err == nil && t.kind == aManifest {
		r.Header.Set("Accept", acceptManifests)
	}
	return r, err
}

// answer is a good answer under way. It is for one goroutine, which must close it.
type answer struct {
	*http.Response
	about target
	watch *watchdog
}

// do asks the upstream of t for it. An answer that is not what was asked for becomes an error.
func (c *Client) do(ctx context.Context, method string, t target) (*answer, error) {
	o, err := c.origin(t.repo)
	if err != nil {
		return nil, err
	}
	watch := newWatchdog(ctx, c.timeout)
	resp, err := o.exchange(watch.ctx, method, t)
	if err != nil {
		err = t.failed(watch.reason(err))
		watch.end()
		return nil, err
	}
	a := &answer{Response: resp, about: t, watch: watch}
	if err := a.check(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// exchange sends the request in the session for t's repository. If that was opened earlier and is refused now, its
// credentials may have changed, or whoever answered its ping was not the registry: then it is opened anew, once.
func (o *origin) exchange(ctx context.Context, method string, t target) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		s, opened, err := o.session(ctx, t.repo)
		if err != nil {
			return nil, err
		}
		r, err := t.request(ctx, method, o.endpoint)
		if err != nil {
			return nil, fmt.Errorf("making the request: %w", err)
		}
		resp, err := s.Do(r)
		if !refused(resp, err) {
			return resp, err
		}
		o.drop(t.repo, s)
		if opened || attempt > 1 {
			return resp, err
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

// refused reports whether the registry or its token service wants other credentials, or a web page came instead.
func refused(resp *http.Response, err error) bool {
	if err != nil {
		var e *transport.Error
		return errors.As(err, &e) && deniedStatus(e.StatusCode)
	}
	return deniedStatus(resp.StatusCode) || resp.StatusCode == http.StatusOK && isMarkup(resp)
}

// check turns an answer with a status other than 200 into an error, and a web page as well: someone in between answers
// in the upstream's place, like the sign-in page of a network. A blob may be a web page: its digest tells.
func (a *answer) check() error {
	if a.StatusCode != http.StatusOK {
		return a.about.answered(statusOf(a))
	}
	if isMarkup(a.Response) && (a.about.kind == aManifest || a.Request.Method == http.MethodHead) {
		return a.about.unusable("a web page: is there a proxy or a sign-in page in between?")
	}
	return nil
}

// close ends the answer and everything that waits for it.
func (a *answer) close() {
	_ = a.Body.Close()
	a.watch.end()
}

// read returns the rest of the body, up to limit bytes and one more. A silence longer than the timeout ends it.
func (a *answer) read(limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(roused{a.Body, a.watch}, int64(limit)+1))
	if err != nil {
		return nil, a.about.brokenOff(a.watch.reason(err))
	}
	return b, nil
}

// watchdog cancels a request that is silent for too long.
type watchdog struct {
	ctx      context.Context // of the request
	cancel   context.CancelCauseFunc
	patience time.Duration
	timer    *time.Timer
}

func newWatchdog(ctx context.Context, patience time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(timeoutError(patience)) })
	return &watchdog{ctx: ctx, cancel: cancel, patience: patience, timer: timer}
}

// reason is why the request ended, if the watchdog or the caller ended it, and err otherwise.
func (w *watchdog) reason(err error) error {
	if cause := context.Cause(w.ctx); cause != nil {
		return cause
	}
	return err
}

// dismiss leaves the request to its caller, and reports whether that was in time.
func (w *watchdog) dismiss() bool { return w.timer.Stop() }

func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// roused is a reader that tells a watchdog of each byte.
type roused struct {
	io.Reader
	watch *watchdog
}

func (r roused) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.watch.timer.Reset(r.watch.patience)
	}
	return n, err
}
