package admin

import (
	"net/http"
	"net/http/pprof"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Path begins the paths of all requests.
const Path = "/api/v1/"

// right is what the sender of a request must be allowed to do, in any repository. A handler checks each repository, and
// leaves out of its answer what the sender may not pull: see [Access.MayPull].
type right string

const (
	needsNothing right = ""
	needsPull    right = right(registry.Pull)
	needsDelete  right = right(registry.Delete)
	// needsAdmin is the right to administer the mirror.
	needsAdmin right = right(registry.Admin)
	// needsLocal is for the admin socket and commands in this process only; see [Access.Local].
	needsLocal right = "local"
	// needsByName is the right in jobRights for the name in the path.
	needsByName right = "by name"
)

// route is a request of the API.
type route struct {
	pattern string
	right   right
	serve   func(http.ResponseWriter, *http.Request) error
}

// routes are all requests. Each row says what its sender must be allowed to do.
func (h *Handler) routes() []route {
	return []route{
		{"GET /api/v1/status", needsAdmin, h.status},
		{"GET /api/v1/mode", needsPull, h.mode},
		{"PUT /api/v1/mode", needsAdmin, h.setMode},
		{"PUT /api/v1/read-only", needsAdmin, h.setReadOnly},
		{"POST /api/v1/reload", needsLocal, h.reload},
		{"GET /api/v1/images", needsPull, h.images},
		{"GET /api/v1/images/page", needsPull, h.imagePage},
		{"GET /api/v1/images/counts", needsPull, h.imageCounts},
		{"GET /api/v1/folders", needsPull, h.folders},
		{"GET /api/v1/images/details", needsPull, h.imageDetails},
		{"GET /api/v1/storage/history", needsAdmin, h.storageHistory},
		{"GET /api/v1/transfers", needsPull, h.transfers},
		{"GET /api/v1/changes", needsPull, h.changes},
		{"GET /api/v1/wants", needsPull, h.wants},
		{"POST /api/v1/wants/forget", needsAdmin, h.forgetWants},
		{"POST /api/v1/calls/{name}", needsByName, h.serveCall},
		{"POST /api/v1/streams/{name}", needsByName, h.serveStream},
		{"POST /api/v1/console-link", needsLocal, h.consoleLink},
		{"GET /api/v1/access", needsAdmin, h.accessRules},
		{"GET /api/v1/access/check", needsAdmin, h.accessCheck},
		{"PUT /api/v1/users/{name}", needsAdmin, h.setPassword},
		{"DELETE /api/v1/users/{name}", needsAdmin, h.removeUser},
		{"GET /api/v1/tokens", needsAdmin, h.tokens},
		{"POST /api/v1/tokens", needsAdmin, h.createToken},
		{"DELETE /api/v1/tokens/{name}", needsAdmin, h.revokeToken},
		{"POST /api/v1/jobs/{name}", needsByName, h.startJob},
		{"GET /api/v1/jobs", needsAdmin, h.listJobs},
		{"GET /api/v1/jobs/{id}", needsAdmin, h.jobStatus},
		{"DELETE /api/v1/jobs/{id}", needsAdmin, h.cancelJob},
		{"GET /api/v1/jobs/{id}/events", needsAdmin, h.watchJob},
		{"HEAD /api/v1/jobs/{id}/input", needsAdmin, h.inputOffset},
		{"PATCH /api/v1/jobs/{id}/input", needsAdmin, h.receiveInput},
		{"GET /api/v1/openapi.json", needsNothing, serveOpenAPI},
		{"/", needsPull, h.unknown},
	}
}

// jobRights are the rights for jobs, calls and streams, by name. Those that are not listed need [needsAdmin].
var jobRights = map[string]right{
	"usage":  needsPull,
	"pins":   needsPull,
	"remove": needsDelete,
	// A migration reads a folder of this machine, or dials an address that the client chooses.
	"migrate": needsLocal,
}

// profiles are the profiles of net/http/pprof. They reveal everything about a server.
func profiles() []route {
	page := func(serve http.HandlerFunc) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error { serve(w, r); return nil }
	}
	return []route{
		{"GET /debug/pprof/", needsLocal, page(pprof.Index)},
		{"GET /debug/pprof/cmdline", needsLocal, page(pprof.Cmdline)},
		{"GET /debug/pprof/profile", needsLocal, page(pprof.Profile)},
		{"GET /debug/pprof/symbol", needsLocal, page(pprof.Symbol)},
		{"GET /debug/pprof/trace", needsLocal, page(pprof.Trace)},
	}
}

// handle adds routes to the handler.
func (h *Handler) handle(routes []route) {
	for _, route := range routes {
		h.mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			err := AccessOf(r.Context()).checkRight(route.right.of(r))
			if err == nil {
				err = route.serve(w, r)
			}
			if err != nil {
				h.fail(w, r, err)
			}
		})
	}
}

// of returns the right for a request, in place of needsByName.
func (n right) of(r *http.Request) right {
	if n != needsByName {
		return n
	}
	if named, ok := jobRights[r.PathValue("name")]; ok {
		return named
	}
	return needsAdmin
}

// checkRight returns an error if the sender does not have a right.
func (a Access) checkRight(n right) error {
	switch {
	case a.Local || n == needsNothing:
		return nil
	case n == needsAdmin && a.IsAdmin(), n != needsAdmin && n != needsLocal && a.AllowsAny(registry.Action(n)):
		return nil
	}
	return a.denial(string(n), mirror.Repo{})
}
