package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// target is what a request is about.
type target struct {
	kind kind
	repo mirror.Repo
	id   string // a tag or a digest

	at     *origin // which is asked and no other, if not nil
	query  string  // of the page of a list
	from   int64   // where a blob is taken up again
	etag   string  // of the blob at the endpoint etagAt, or ""
	etagAt *origin
}

type kind string

const (
	aManifest kind = "manifest"
	aBlob     kind = "blob"
	tagList   kind = "list of tags"
	referrers kind = "list of referrers"
)

// String names the target in a message.
func (t target) String() string {
	switch t.kind {
	case tagList:
		return fmt.Sprintf("the tags of %s", t.repo)
	case referrers:
		return fmt.Sprintf("the referrers of %s in %s", t.id, t.repo)
	}
	return fmt.Sprintf("%s %s of %s", t.kind, t.id, t.repo)
}

// unknown is the code for an upstream that does not have the target.
func (t target) unknown() mirror.Code {
	switch t.kind {
	case aManifest:
		return mirror.CodeManifestUnknown
	case aBlob:
		return mirror.CodeBlobUnknown
	}
	return mirror.CodeNameUnknown
}

// path is the target's path below its repository.
func (t target) path() string {
	switch t.kind {
	case tagList:
		return "tags/list"
	case referrers:
		return "referrers/" + t.id
	}
	return string(t.kind) + "s/" + t.id
}

// request returns the request for t at o.
func (t target) request(ctx context.Context, method string, o *origin) (*http.Request, error) {
	u := *o.endpoint.URL
	u.Path, u.RawQuery = "/v2/"+o.endpoint.path(t.repo)+"/"+t.path(), t.query
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case aManifest:
		r.Header.Set("Accept", acceptManifests)
	case referrers:
		r.Header.Set("Accept", v1.MediaTypeImageIndex)
	}
	if t.from > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.from))
		if t.etag != "" && t.etagAt == o {
			r.Header.Set("If-Range", t.etag)
		}
	}
	return r, nil
}

// answer is a good answer under way. It is for one goroutine, which must close it.
type answer struct {
	*http.Response
	about target
	from  *origin
	watch *watchdog
}

// answer asks this endpoint, unless that is gone. It ends watch, or leaves it to the answer.
func (o *origin) answer(watch *watchdog, method string, t target) (*answer, error) {
	pass, err := o.breaker.enter(watch.ctx)
	if err != nil {
		watch.end()
		return nil, t.failed(err)
	}
	resp, err := o.persist(watch, method, t)
	verdict := judge(watch.ctx, resp, err)
	if err != nil {
		err = t.failed(watch.reason(err))
		watch.end()
		o.breaker.leave(pass, verdict, err)
		return nil, err
	}
	a := &answer{Response: resp, about: t, from: o, watch: watch}
	if err = a.check(); err != nil {
		a.close()
		a = nil
	}
	o.breaker.leave(pass, verdict, err)
	return a, err
}

// exchange sends the request in the session for t's repository. If that was opened earlier and is refused now, its
// credentials may have changed, or whoever answered its ping was not the registry: then it is opened anew, once.
func (o *origin) exchange(ctx context.Context, method string, t target) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		s, opened, err := o.session(ctx, t.repo)
		if err != nil {
			return nil, err
		}
		r, err := t.request(ctx, method, o)
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
// in the upstream's place, like the sign-in page of a network. A blob may be a web page: its digest tells. Where part of
// a blob was asked for, what the answer has to say about parts is left to the caller.
func (a *answer) check() error {
	part := a.StatusCode == http.StatusPartialContent || a.StatusCode == http.StatusRequestedRangeNotSatisfiable
	switch {
	case part && a.about.from > 0:
		return nil
	case a.StatusCode != http.StatusOK:
		return a.about.answered(statusOf(a))
	case isMarkup(a.Response) && (a.about.kind != aBlob || a.Request.Method == http.MethodHead):
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
	deadline time.Time     // for the answer to begin
	patience time.Duration // with each silence in it
	timer    *time.Timer
}

func newWatchdog(ctx context.Context, begin, patience time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(ctx)
	deadline := time.Now().Add(begin)
	timer := time.AfterFunc(begin, func() { cancel(timeoutError(begin.Round(time.Millisecond))) })
	return &watchdog{ctx: ctx, cancel: cancel, deadline: deadline, patience: patience, timer: timer}
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
