package audit

import (
	"encoding/json"
	"net/http"

	"airmirror/api/admin"
	"airmirror/api/front"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// Request writes down a request of a client that changed something or was refused that; it is an observer of
// [front.Options]. That uploads begin and go on is not written: what they end in is.
func (l *Log) Request(e *front.Exchange) {
	if l == nil || e.Seen == nil || !e.Seen.Parsed {
		return
	}
	entry, changes := entryOf(e.Request.Method, e.Seen)
	if !changes {
		return
	}
	entry.Time, entry.User, entry.Address, entry.Request = e.Began, e.User, e.Address, e.ID
	entry.Repo = e.Seen.Repo.String()
	err := e.Seen.Err
	if e.Status >= http.StatusBadRequest && err == nil {
		err = mirror.Errorf(mirror.CodeUnknown, "status %d", e.Status)
	}
	l.Write(entry, err)
}

// entryOf says what a request changes.
func entryOf(method string, seen *registry.Seen) (e Entry, changes bool) {
	e.Digest, e.Bytes = seen.Digest, seen.Did.Size
	switch {
	case seen.Endpoint == registry.Manifest && method == http.MethodPut:
		e.Action, e.Tags, e.Was = "push", seen.Did.Tags, seen.Did.Was
		if seen.Did.Digest != "" {
			e.Digest = seen.Did.Digest
		}
	case seen.Endpoint == registry.Manifest && method == http.MethodDelete:
		e.Action = "delete"
		if seen.Tag != "" {
			e.Tags = []string{seen.Tag}
		}
	case seen.Endpoint == registry.Blob && method == http.MethodDelete:
		e.Action = "delete-blob"
	case seen.Endpoint == registry.Upload && method == http.MethodPut:
		e.Action = "push-blob"
	case seen.Endpoint == registry.Uploads && seen.Did.Mounted:
		e.Action, e.Digest, e.From = "mount", seen.Mount, seen.From
	case seen.Endpoint == registry.Uploads && seen.Digest != "":
		e.Action = "push-blob"
	default:
		return e, false
	}
	return e, true
}

// maxDetail is how many bytes of what a command was asked for are kept.
const maxDetail = 16 << 10

// looks are the jobs that change nothing.
var looks = map[string]bool{"export-plan": true, "export-history": true, "usage": true, "pins": true}

// told are the actions whose requests have nothing in them that is a secret.
var told = map[string]bool{
	"mode": true, "read-only": true, "forget-wants": true, "reload": true,
	"sync": true, "import": true, "collect": true, "remove": true, "pin": true, "unpin": true, "verify": true,
}

// Command writes down what a command had done; it is for [admin.Options].
func (l *Log) Command(c admin.Change) {
	if l == nil || looks[c.Action] {
		return
	}
	e := Entry{Action: c.Action, User: admin.Peer(c.HTTP.Context()), Address: "local"}
	if told[c.Action] && len(c.Request) <= maxDetail && json.Valid(c.Request) {
		e.Detail = c.Request
	}
	l.Write(e, c.Err)
}
