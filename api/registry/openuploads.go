package registry

import (
	"net/http"
	"sync"

	"airmirror/mirror"
)

// OpenUploads bounds how many uploads a client has begun and not ended, whether they are under way or were left. It counts
// those that it saw begin: uploads outlive the process, but who began them is not kept, so that everybody begins anew with
// it. A push in one request is none, as it is over with the request. A nil one bounds nothing. It is safe for concurrent
// use.
type OpenUploads struct {
	limit  func() int
	client func(*http.Request) string

	mu     sync.Mutex
	owners map[string]string // upload → client
	open   mirror.Shares[string]
}

// NewOpenUploads returns a bound of most uploads, none if that is zero, for all whom client calls by the same name. All
// clients together have twice as many, which is less for each of several that have many; see [mirror.Shares].
func NewOpenUploads(most func() int, client func(*http.Request) string) *OpenUploads {
	return &OpenUploads{limit: most, client: client, owners: map[string]string{}}
}

// begin makes room for an upload of the client that sends r. The caller calls begun once: with the upload's id, or with
// none if there is no upload after all. [mirror.CodeTooManyRequests] if the client has too many.
func (o *OpenUploads) start(r *http.Request) (begun func(id string), err error) {
	if o == nil {
		return func(string) {}, nil
	}
	client, most := o.client(r), int64(o.limit())
	o.open.SetMost(2 * most) // one client alone has half of it
	if !o.open.Take(client, 1) {
		return nil, mirror.Errorf(mirror.CodeTooManyRequests,
			"%s has begun %d uploads that have not ended, and may have no more of the %d of all clients: go on with one, or cancel it; those to which nothing comes are dropped in time", client, o.open.Of(client), 2*most)
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

// End is to be called when an upload is no more for a reason that no client had a part in, as that it expired.
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
