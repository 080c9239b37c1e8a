package registry

import (
	"context"
	"net/http"

	"airmirror/mirror"
)

// Action is what a client asks to do.
type Action string

// The actions. Pull, Push and Delete are done to a repository; so is List where it is not the catalog that is asked for,
// but whether a repository is named in it. Admin is to look after the mirror: no request of this API asks for it. Ping is
// GET /v2/, by which clients find out whether they have to log in, and whether they have.
const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
	Admin  Action = "admin"
	List   Action = "list"
	Ping   Action = "ping"
)

// Ask is what a request asks to do.
type Operation struct {
	Action Action
	Repo   mirror.Repo // none for Ping, for the catalog, and for what is about the whole mirror
	// From, with Push, is where the request would like to take a blob from, which is Pull there: the zero repository if it
	// would not. Who may not is refused nothing: the blob is pushed then.
	From mirror.Repo
}

// Authorizer says who may do what. It is safe for concurrent use.
type Authorizer interface {
	// Authorize finds out who sends a request and whether they may do what it asks. It is called once for each request that is
	// well formed, before anything is looked up for it. The context that it returns is the request's from then on. Its
	// errors are a [mirror.Error]: [mirror.CodeUnauthorized] of who may be somebody else after a login, with how to log in
	// set in header; [mirror.CodeDenied]; [mirror.CodeTooManyRequests].
	Authorize(header http.Header, r *http.Request, ask Operation) (context.Context, error)
	// May reports whether the client of a context, which is one that Admit returned, may do something beside what it was
	// admitted for. Without a repository it is whether they may do it to every one.
	Allowed(ctx context.Context, ask Operation) bool
}

// admit asks whether the client may do what the request asks.
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

// action is what the request asks to do.
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

// mayMountFrom reports whether the request asks for a blob to be mounted that its client may read. The context is what it is
// to be mounted with.
func (x *exchange) mayMountFrom() (context.Context, bool) {
	ctx := x.r.Context()
	if x.req.Mount == "" || x.authorizer == nil {
		return ctx, x.req.Mount != ""
	}
	if long, ok := mirror.LongName(x.mountFrom); ok && !x.authorizer.Allowed(ctx, Operation{Action: Pull, Repo: long}) {
		ctx = mirror.WithoutShortNames(ctx)
	}
	// Without from the blob is taken from wherever it is: that is for who may read everything.
	return ctx, x.authorizer.Allowed(ctx, Operation{Action: Pull, Repo: x.mountFrom})
}

// listed lists up to n repositories after a name, those that the client may know of.
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
