package registry

import (
	"context"
	"net/http"

	"airmirror/mirror"
)

// Action is what a client asks the registry to do.
type Action string

// The actions. Pull, Push and Delete apply to a repository. List applies to the catalog, or to one repository to decide
// whether the catalog may include it. Admin is the administration of the mirror; no endpoint of this API needs it. Ping
// is GET /v2/, with which clients find out whether they must log in and whether they are logged in.
const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
	Admin  Action = "admin"
	List   Action = "list"
	Ping   Action = "ping"
)

// Operation is what a request asks to do.
type Operation struct {
	Action Action
	Repo   mirror.Repo // empty for Ping, for the catalog, and for the mirror as a whole
	// From is the repository that a Push wants to mount a blob from; it is empty if there is none. Mounting needs the
	// right to pull from it. A client without that right is not refused: it uploads the blob instead.
	From mirror.Repo
}

// Authorizer decides who may do what. It is safe for concurrent use.
type Authorizer interface {
	// Authorize identifies the sender of a request and checks that it may perform an operation. The handler calls it
	// once for each well-formed request, before it looks up anything, and uses the returned context for the rest of the
	// request.
	// Errors are a [mirror.Error]: [mirror.CodeUnauthorized] if a login could help (the challenge is set in header),
	// [mirror.CodeDenied], or [mirror.CodeTooManyRequests].
	Authorize(header http.Header, r *http.Request, op Operation) (context.Context, error)
	// Allowed reports whether the client of a context returned by Authorize may perform another operation. An operation
	// without a repository asks about all repositories.
	Allowed(ctx context.Context, op Operation) bool
}

// authorize checks that the client may do what the request asks.
func (x *exchange) authorize() error {
	if x.authorizer == nil {
		return nil
	}
	ctx, err := x.authorizer.Authorize(x.Header(), x.r, Operation{Action: x.action(), Repo: x.repo, From: x.mountFrom})
	if err != nil {
		return err
	}
	if long, ok := mirror.LongName(x.repo); ok && !x.authorizer.Allowed(ctx, Operation{Action: Pull, Repo: long}) {
		ctx = mirror.WithoutShortNames(ctx)
	}
	if ctx != x.r.Context() {
		x.r = x.r.WithContext(ctx)
	}
	return nil
}

// action returns the action that the request asks for.
func (x *exchange) action() Action {
	switch x.req.Endpoint {
	case Base:
		return Ping
	case Catalog:
		return List
	case Uploads, Upload:
		return Push
	}
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		return Pull
	case http.MethodDelete:
		return Delete
	}
	return Push
}

// mayMountFrom reports whether the request asks to mount a blob that its client may read. It returns the context to
// mount it with.
func (x *exchange) mayMountFrom() (context.Context, bool) {
	ctx := x.r.Context()
	if x.req.Mount == "" || x.authorizer == nil {
		return ctx, x.req.Mount != ""
	}
	if long, ok := mirror.LongName(x.mountFrom); ok && !x.authorizer.Allowed(ctx, Operation{Action: Pull, Repo: long}) {
		ctx = mirror.WithoutShortNames(ctx)
	}
	// A mount without "from" searches all repositories, so the client must be allowed to read all of them.
	return ctx, x.authorizer.Allowed(ctx, Operation{Action: Pull, Repo: x.mountFrom})
}

// repositories returns up to n names after the given one, of repositories that the client may know about.
func (x *exchange) repositories(ctx context.Context, after string, n int) ([]string, error) {
	if x.authorizer == nil || x.authorizer.Allowed(ctx, Operation{Action: List}) {
		return x.mirror.Repos(ctx, after, n)
	}
	var names []string
	for len(names) < n {
		page, err := x.mirror.Repos(ctx, after, n)
		if err != nil || len(page) == 0 {
			return names, err
		}
		for _, name := range page {
			after = name
			repo, err := x.names.Repo(name, "")
			if err == nil && len(names) < n && x.authorizer.Allowed(ctx, Operation{Action: List, Repo: repo}) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}
