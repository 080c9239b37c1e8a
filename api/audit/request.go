package audit

import (
	"encoding/json"
	"net/http"

	"airmirror/api/admin"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// Request logs a client's request that changed something or was refused. It is an observer for [middleware.Options]. Of
// an upload, only its end is logged.
func (l *Log) Request(e *middleware.Exchange) {
	if l == nil || e.Call == nil || !e.Call.Parsed {
		return
	}
	entry, changes := entryOf(e.Request.Method, e.Call)
	if !changes {
		return
	}
	entry.Time, entry.User, entry.Address, entry.Request = e.Started, e.User, e.Address, e.ID
	entry.Repo = e.Call.Repo.String()
	err := e.Call.Err
	if e.Status >= http.StatusBadRequest && err == nil {
		err = mirror.Errorf(mirror.CodeUnknown, "status %d", e.Status)
	}
	l.Write(entry, err)
}

// entryOf returns the entry for a request. changes is false if the request cannot change anything.
func entryOf(method string, seen *registry.Call) (e Entry, changes bool) {
	e.Digest, e.Bytes = seen.Digest, seen.Outcome.Size
	switch {
	case seen.Endpoint == registry.Manifest && method == http.MethodPut:
		e.Action, e.Tags, e.Was = "push", seen.Outcome.Tags, seen.Outcome.Previous
		if seen.Outcome.Digest != "" {
			e.Digest = seen.Outcome.Digest
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
	case seen.Endpoint == registry.Uploads && seen.Outcome.Mounted:
		e.Action, e.Digest, e.From = "mount", seen.Mount, seen.From
	case seen.Endpoint == registry.Uploads && seen.Digest != "":
		e.Action = "push-blob"
	default:
		return e, false
	}
	return e, true
}

// maxDetail is the maximum size of a command's request in the log, in bytes.
const maxDetail = 16 << 10

// readOnlyActions are the jobs and streams that are not logged: they change nothing and export no content.
var readOnlyActions = map[string]bool{"export-plan": true, "export-history": true, "receipt": true, "usage": true, "pins": true, "list-tags": true}

// loggedFields are the actions whose requests are logged: completely, or only some fields if others contain secrets or
// are too long. Requests of other actions are not logged.
var loggedFields = map[string][]string{
	"mode": nil, "read-only": nil, "token-create": nil, "token-revoke": nil, "user-add": nil, "user-remove": nil, "console-link": nil, "forget-wants": nil, "reload": nil,
	"sync": nil, "import": nil, "export": nil, "chart": nil, "collect": nil, "remove": nil, "pin": nil, "unpin": nil, "tag": nil, "verify": nil, "compact": nil,
	"migrate":     {"root", "from", "repos", "overwrite"}, // the url may contain a password
	"export-sent": {"id", "destination", "sequence"},
}

// Command logs a request of the admin API: of a command on this machine, or of a client. It is a callback for [admin.Options].
func (l *Log) Command(c admin.Change) {
	if l == nil || readOnlyActions[c.Action] {
		return
	}
	access := admin.AccessOf(c.HTTP.Context())
	l.Write(Entry{Action: c.Action, User: access.User, Address: access.Address, Request: access.Request, Detail: Detail(c.Action, c.Request)}, c.Err)
}

// Detail returns the part of the request of an action that may be logged or shown, or nil.
func Detail(action string, text json.RawMessage) json.RawMessage {
	fields, ok := loggedFields[action]
	if ok && fields != nil {
		all, some := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		if json.Unmarshal(text, &all) != nil {
			return nil
		}
		for _, field := range fields {
			if value, there := all[field]; there {
				some[field] = value
			}
		}
		text, _ = json.Marshal(some) // cannot fail: the values come from JSON
	}
	if !ok || len(text) > maxDetail || !json.Valid(text) {
		return nil
	}
	return text
}
