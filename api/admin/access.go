package admin

import (
	"context"
	"net/http"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Access says who sent a request, and what the sender may do. The zero value may do nothing.
type Access struct {
	User    string // "" if the sender is anonymous
	Address string // of the client, without a port; "local" for a command on this machine
	Request string // the ID of the request, as in logs; may be empty
	// Local means that the request came over the admin socket, or from a command in this process. It may do everything,
	// including what no user of the network may do.
	Local bool
	// CanLogIn means that the sender sent no credentials, and that a login may give it more rights.
	CanLogIn bool
	// Hint says how the sender could get more rights, for the error of a request that is denied; "" for the rules.
	Hint string
	// NoDelete is why nobody on the network may delete; "" if those with the right may.
	NoDelete string
	// Rights are what the sender may do unless Local is set; nil are none.
	Rights Rights
}

// Rights are what one client may do. Package auth implements it. Rights are safe for concurrent use.
type Rights interface {
	// Allows reports whether the client may perform an action in a repository. The zero repository stands for all of
	// them; [registry.Admin] in it is the administration of the mirror.
	Allows(action registry.Action, repo mirror.Repo) bool
	// AllowsAny reports whether the client may perform an action in at least one repository.
	AllowsAny(action registry.Action) bool
}

type accessKey struct{}

// WithAccess returns a context for a request of a sender. A [Handler] does for a request only what the Access in its
// context allows, and nothing without one.
func WithAccess(ctx context.Context, a Access) context.Context {
	return context.WithValue(ctx, accessKey{}, a)
}

// AccessOf returns the Access in a context, or one without rights.
func AccessOf(ctx context.Context) Access {
	a, _ := ctx.Value(accessKey{}).(Access)
	return a
}

// Local returns a handler whose requests may do everything. It is for the admin socket, which file permissions protect,
// and for commands in this process.
func Local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access := Access{User: PeerUser(r.Context()), Address: "local", Local: true}
		next.ServeHTTP(w, r.WithContext(WithAccess(r.Context(), access)))
	})
}

// UserOf returns the name of the user that sent the request of a context: of the machine for a command, of the mirror for
// others, and "" for an anonymous client.
func UserOf(ctx context.Context) string {
	if a, ok := ctx.Value(accessKey{}).(Access); ok {
		return a.User
	}
	return PeerUser(ctx)
}

// Allows reports whether the sender may perform an action in a repository; see [Rights].
func (a Access) Allows(action registry.Action, repo mirror.Repo) bool {
	return a.Local || a.Rights != nil && !a.forbids(action) && a.Rights.Allows(action, repo)
}

// AllowsAny reports whether the sender may perform an action in at least one repository.
func (a Access) AllowsAny(action registry.Action) bool {
	return a.Local || a.Rights != nil && !a.forbids(action) && a.Rights.AllowsAny(action)
}

// forbids reports whether no right allows an action.
func (a Access) forbids(action registry.Action) bool {
	return action == registry.Delete && a.NoDelete != ""
}

// MayPull reports whether the sender may pull from a repository, and so may see it in lists.
func (a Access) MayPull(repo mirror.Repo) bool { return a.Allows(registry.Pull, repo) }

// visible limits a selection of images to repositories that the sender may pull.
func (a Access) visible(match mirror.ImageMatch) mirror.ImageMatch {
	if a.Local {
		return match
	}
	selected := match.Repo
	match.Repo = func(repo mirror.Repo) bool { return a.MayPull(repo) && (selected == nil || selected(repo)) }
	return match
}

// IsAdmin reports whether the sender may administer the mirror.
func (a Access) IsAdmin() bool { return a.Allows(registry.Admin, mirror.Repo{}) }

// Check returns the error of a sender that may not perform an action in a repository, or nil.
func (a Access) Check(action registry.Action, repo mirror.Repo) error {
	if a.Allows(action, repo) {
		return nil
	}
	return a.denial(string(action), repo)
}

// MissingRight is the detail of an error that a missing right causes.
type MissingRight struct {
	Right      string `json:"right"`                // "pull", "delete", "admin" or "local"
	Repository string `json:"repository,omitempty"` // "" for the mirror as a whole
}

// denial returns the error for a missing right.
func (a Access) denial(right string, repo mirror.Repo) error {
	e := &mirror.Error{Code: mirror.CodeDenied, Detail: MissingRight{Right: right, Repository: repo.String()}}
	if repo == (mirror.Repo{}) {
		e.Detail = MissingRight{Right: right}
	}
	who, what := a.User+" may not", describeRight(right, repo)
	if a.forbids(registry.Action(right)) {
		e.Message = "nobody on the network may " + what + ": " + a.NoDelete
		return e
	}
	switch {
	case right == string(needsLocal):
		who = "no user of the network may"
	case a.User == "" && a.CanLogIn:
		e.Code, who = mirror.CodeUnauthorized, "log in with a user that may"
	case a.User == "":
		who = "anonymous clients may not"
	}
	e.Message = who + " " + what
	switch {
	case right == string(needsLocal), e.Code == mirror.CodeUnauthorized:
	case a.Hint != "":
		e.Message += ": " + a.Hint
	default:
		e.Message += ": no rule of this mirror allows it"
	}
	return e
}

func describeRight(right string, repo mirror.Repo) string {
	where := " any repository"
	if repo != (mirror.Repo{}) {
		where = " " + repo.String()
	}
	switch right {
	case string(registry.Pull):
		return "pull from" + where
	case string(registry.Delete):
		return "delete from" + where
	case string(registry.Push):
		return "push to" + where
	case string(needsLocal):
		return "do this: use the command on the machine of the mirror"
	}
	return "administer this mirror"
}
