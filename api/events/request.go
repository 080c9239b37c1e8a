package events

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// Request queues the event for a client's request. It is an observer for [middleware.Options]. For a change, it waits until
// the event is on disk: net/http sends the answer after that.
func (e *Events) Request(x *middleware.Exchange) {
	if e == nil || len(*e.sinks.Load()) == 0 || x.Call == nil || !x.Call.Parsed || x.Call.Err != nil || x.Aborted || x.Status < 200 || x.Status > 299 {
		return
	}
	action, target, is := targetOf(x)
	if !is {
		return
	}
	h := record{repo: x.Call.Repo, Event: Event{
		Timestamp: x.Started.Add(x.Duration), Action: action, Target: target, Actor: Actor{x.User},
		Request: Request{x.ID, addressOf(x.Request), truncate(x.Request.Host), x.Request.Method, truncate(x.Request.UserAgent())},
	}}
	if action == Mount && x.Call.From != "" {
		if from, err := e.opts.Names().Repo(x.Call.From, x.Call.Namespace); err == nil {
			h.Target.FromRepository = e.opts.Names().Served(from)
		}
	}
	if action != Delete {
		h.Target.URL = e.url(x, target)
	}
	tags := []string{target.Tag}
	if action == Push && len(x.Call.Outcome.Tags) > 0 {
		tags = x.Call.Outcome.Tags
	}
	var last *record
	for _, tag := range tags { // receivers expect one tag per event
		h.Target.Tag = tag
		one := h
		if laneOf(action) == reads {
			e.enqueue(&one)
			continue
		}
		one.done = make(chan struct{})
		if e.enqueueWaiting(context.WithoutCancel(x.Request.Context()), &one) {
			last = &one
		}
	}
	if last != nil {
		e.wait(last) // events are written in order
	}
}

// targetOf returns the action and target of a successful request. is is false if the request is not an event.
func targetOf(x *middleware.Exchange) (action Action, t Target, is bool) {
	seen := x.Call
	method := x.Request.Method
	t.Digest, t.Size = seen.Digest, seen.Outcome.Size
	switch seen.Endpoint {
	case registry.Manifest:
		t.Tag, t.MediaType = seen.Tag, seen.Outcome.MediaType
		if seen.Outcome.Digest != "" {
			t.Digest = seen.Outcome.Digest
		}
		switch method {
		case http.MethodPut:
			return Push, t, true
		case http.MethodGet:
			return Pull, t, x.Out == t.Size
		case http.MethodDelete:
			return Delete, Target{Tag: seen.Tag, Digest: seen.Digest}, true
		}
	case registry.Blob:
		t.MediaType = blobType
		switch method {
		case http.MethodGet:
			size, ended := reachedEnd(x)
			t.Size = size
			return Pull, t, ended
		case http.MethodDelete:
			return Delete, Target{Digest: seen.Digest}, true
		}
	case registry.Uploads, registry.Upload:
		t.MediaType = blobType
		switch {
		case seen.Outcome.Mounted:
			t.Digest = seen.Mount
			return Mount, t, true
		case x.Status == http.StatusCreated:
			return Push, t, true
		}
	}
	return "", Target{}, false
}

// reachedEnd reports whether a response contained the last byte of a blob, and returns the size of the blob. net/http
// does not report clients that disconnect early.
func reachedEnd(x *middleware.Exchange) (size int64, ended bool) {
	length, err := strconv.ParseInt(x.Header.Get("Content-Length"), 10, 64)
	if err != nil { // of unknown size, sent to its end
		return x.Out, x.Status == http.StatusOK
	}
	if x.Out != length {
		return 0, false
	}
	if x.Status != http.StatusPartialContent {
		return length, true
	}
	// Responses with several ranges are not counted; no registry client requests them.
	span, total, ok := strings.Cut(strings.TrimPrefix(x.Header.Get("Content-Range"), "bytes "), "/")
	_, last, isSpan := strings.Cut(span, "-")
	size, err = strconv.ParseInt(total, 10, 64)
	end, errLast := strconv.ParseInt(last, 10, 64)
	return size, ok && isSpan && err == nil && errLast == nil && end == size-1
}

// url returns the URL of a target. It is built from the settings and never from the request, because receivers may
// follow it with credentials.
func (e *Events) url(x *middleware.Exchange, t Target) string {
	base := strings.TrimSuffix(e.opts.URL(), "/")
	kind := "manifests"
	if t.MediaType == blobType {
		kind = "blobs"
	}
	u, err := url.Parse(base)
	if err != nil || base == "" {
		return ""
	}
	return u.JoinPath("v2", e.opts.Names().Served(x.Call.Repo), kind, t.Digest.String()).String()
}

// addressOf returns the address of the client. The port is unknown behind a proxy.
func addressOf(r *http.Request) string { return strings.TrimSuffix(r.RemoteAddr, ":0") }

// maxText limits text from a client in an event, in bytes.
const maxText = 512

// truncate limits a text to maxText.
func truncate(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "")
}

// Want queues the event for a new want. It is a callback for proxy.Options.
func (e *Events) Want(w mirror.Want) {
	if e == nil || len(*e.sinks.Load()) == 0 {
		return
	}
	ref, err := mirror.ParseRef(w.Ref)
	if err != nil {
		return
	}
	h := &record{repo: ref.Repo, Event: Event{Action: Want, Reason: truncate(w.Reason), Target: Target{Tag: ref.Tag, Digest: ref.Digest}}}
	if w.Blob {
		h.Target.MediaType = blobType
	}
	if len(w.Clients) > 0 {
		h.Request.Addr = w.Clients[0]
	}
	e.enqueue(h)
}

// Removed queues the event for a tag or manifest that a command of actor deleted. It may wait, like Imported. The caller
// calls Sync before it answers.
func (e *Events) Removed(ctx context.Context, actor string, ref mirror.Ref) {
	if e == nil || len(*e.sinks.Load()) == 0 {
		return
	}
	e.enqueueWaiting(ctx, &record{repo: ref.Repo, Event: Event{Action: Delete, Target: Target{Tag: ref.Tag, Digest: ref.Digest}, Actor: Actor{actor}}})
}

// Imported queues the event for an image that an import of actor added. repository has the form of
// [mirror.Repo.String]; tag may be empty. It may wait for the disk until ctx ends, so that no event of a large bundle
// is lost. The caller calls Sync before it answers.
func (e *Events) Imported(ctx context.Context, actor, repository, tag string, d digest.Digest) {
	if e == nil || len(*e.sinks.Load()) == 0 {
		return
	}
	repo, err := mirror.ParseRepo(repository)
	if err != nil {
		return
	}
	e.enqueueWaiting(ctx, &record{repo: repo, Event: Event{Action: Import, Target: Target{Tag: tag, Digest: d}, Actor: Actor{actor}}})
}
