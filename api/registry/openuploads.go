package registry

import (
	"net/http"
	"sync"

	"airmirror/mirror"
)

// OpenUploads limits how many open uploads a client may have, active or abandoned. It counts the uploads that started
// in this process: uploads survive a restart, but their clients are not recorded. Uploads in a single request do not
// count. A nil OpenUploads has no limit. It is safe for concurrent use.
type OpenUploads struct {
	limit  func() int
	client func(*http.Request) string

	mu     sync.Mutex
	owners map[string]string // upload ID → client
	open   mirror.Shares[string]
}

// NewOpenUploads returns a limit of the given number of uploads per client; zero means no limit. client returns the
// name that a request counts for. All clients together may have twice the limit, so the share of each shrinks if
// several clients have many uploads; see [mirror.Shares].
func NewOpenUploads(most func() int, client func(*http.Request) string) *OpenUploads {
	return &OpenUploads{limit: most, client: client, owners: map[string]string{}}
}

// start reserves an open upload for the client that sent r. The caller calls started once, with the ID of the upload,
// or with "" if the upload was not created. The error is [mirror.CodeTooManyRequests] if the client has too many.
func (o *OpenUploads) start(r *http.Request) (begun func(id string), err error) {
	if o == nil {
		return func(string) {}, nil
	}
	client, most := o.client(r), int64(o.limit())
	o.open.SetMost(2 * most) // a single client may use half of it
	if !o.open.Take(client, 1) {
		return nil, mirror.Errorf(mirror.CodeTooManyRequests,
			"%s has %d open uploads and may not open more (the limit of all clients together is %d): finish or cancel one, or wait until idle ones expire", client, o.open.Of(client), 2*most)
	}
	return func(id string) {
		if id == "" {
			o.open.Give(client, 1)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.owners[id] = client
	}, nil
}

// End releases an upload that was completed, cancelled or expired.
func (o *OpenUploads) End(id string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if client, known := o.owners[id]; known {
		delete(o.owners, id)
		o.open.Give(client, 1)
	}
}
