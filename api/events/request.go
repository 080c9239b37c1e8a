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

// Request takes what a client did; it is an observer of [middleware.Options].
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
	for _, tag := range tags { // distribution's receivers know of one each
		h.Target.Tag = tag
		e.enqueue(h)
	}
}

// targetOf says what a request that went well did, if it is an event.
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

// reachedEnd reports whether an answer brought the last byte of a blob, and how large that is. net/http does not say that
// a client has left before it.
func reachedEnd(x *middleware.Exchange) (size int64, ended bool) {
	length, err := strconv.ParseInt(x.Header.Get("Content-Length"), 10, 64)
	if err != nil { // nobody knew how large it was: it was sent until it ended
		return x.Out, x.Status == http.StatusOK
	}
	if x.Out != length {
		return 0, false
	}
	if x.Status != http.StatusPartialContent {
		return length, true
	}
	// Of several ranges at once, which no client of registries asks for, there is none here.
	span, total, ok := strings.Cut(strings.TrimPrefix(x.Header.Get("Content-Range"), "bytes "), "/")
	_, last, isSpan := strings.Cut(span, "-")
	size, err = strconv.ParseInt(total, 10, 64)
	end, errLast := strconv.ParseInt(last, 10, 64)
	return size, ok && isSpan && err == nil && errLast == nil && end == size-1
}

// url is where a target is, as the settings say. A request has no part in it: who listens may go there with a login.
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

// addressOf is where a request came from; a proxy does not say from which port.
func addressOf(r *http.Request) string { return strings.TrimSuffix(r.RemoteAddr, ":0") }

// maxText bounds what a client writes into an event, in bytes.
const maxText = 512

// short is a text of a client, bounded.
func truncate(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "")
}

// Want takes something that became a want; it is for proxy.Options.
func (e *Events) Want(w mirror.Want) {
	if e == nil || len(*e.sinks.Load()) == 0 {
		return
	}
	ref, err := mirror.ParseRef(w.Ref)
	if err != nil {
		return
	}
	h := record{repo: ref.Repo, Event: Event{Action: Want, Reason: truncate(w.Reason), Target: Target{Tag: ref.Tag, Digest: ref.Digest}}}
	if w.Blob {
		h.Target.MediaType = blobType
	}
	if len(w.Clients) > 0 {
		h.Request.Addr = w.Clients[0]
	}
	e.enqueue(h)
}

// Removed takes what a command of actor took out: a tag, or a manifest by its digest. It may wait as Imported does.
func (e *Events) Removed(ctx context.Context, actor string, ref mirror.Ref) {
	if e == nil || len(*e.sinks.Load()) == 0 {
		return
	}
	e.enqueueWaiting(ctx, record{repo: ref.Repo, Event: Event{Action: Delete, Target: Target{Tag: ref.Tag, Digest: ref.Digest}, Actor: Actor{actor}}})
}

// Imported takes an image that an import brought in: its repository as [mirror.Repo.String] writes it, its tag, if it has
// one, and its digest; actor is who had it imported. It may wait for the disk, until ctx ends, so that none is lost of a
// bundle with many.
func (e *Events) Imported(ctx context.Context, actor, repository, tag string, d digest.Digest) {
	if e == nil || len(*e.sinks.Load()) == 0 {
		return
	}
	repo, err := mirror.ParseRepo(repository)
	if err != nil {
		return
	}
	e.enqueueWaiting(ctx, record{repo: repo, Event: Event{Action: Import, Target: Target{Tag: tag, Digest: d}, Actor: Actor{actor}}})
}
