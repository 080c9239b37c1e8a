package admin

import (
	"context"
	"net/http"
	"net/url"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// AccessRules say who may do what.
type AccessRules struct {
	Summary string              `json:"summary"` // in one sentence
	Users   []string            `json:"users"`   // with a password, by name
	Groups  map[string][]string `json:"groups,omitempty"`
	// Rules are in effect. If none are configured, they are the default ones.
	Rules []AccessRule `json:"rules"`
}

// AccessRule allows some clients to do something; see the setting auth.rules.
type AccessRule struct {
	Users        []string          `json:"users,omitempty"`
	Groups       []string          `json:"groups,omitempty"`
	Repositories []string          `json:"repositories"`
	Actions      []registry.Action `json:"actions"`
}

// AccessQuestion asks whether a client may perform an action in a repository.
type AccessQuestion struct {
	User       string // "" for an anonymous client, "token:" and a name for an API token
	Action     registry.Action
	Repository string // "" for the mirror as a whole
}

// AccessAnswer answers an [AccessQuestion].
type AccessAnswer struct {
	Allowed bool `json:"allowed"`
	// Rules are the numbers of the rules that allow it, from 1. An API token has rights of its own.
	Rules []int `json:"rules,omitempty"`
}

// AccessControl knows who may do what. Package auth implements it.
type AccessControl interface {
	AccessRules() AccessRules
	// SetPassword sets the password of a user, who is created if necessary.
	SetPassword(user, password string) (added bool, err error)
	// RemoveUser removes a user, or returns a [mirror.CodeNameUnknown].
	RemoveUser(user string) error
	// Explain answers a question about a repository, or about the mirror as a whole for the zero repository.
	Explain(user string, action registry.Action, repo mirror.Repo) AccessAnswer
}

func (h *Handler) accessRules(w http.ResponseWriter, _ *http.Request) error {
	if h.opts.Access == nil {
		return errNoAccessControl
	}
	return writeJSON(w, h.opts.Access.AccessRules())
}

// accessCheck answers an [AccessQuestion] in the query.
func (h *Handler) accessCheck(w http.ResponseWriter, r *http.Request) error {
	if h.opts.Access == nil {
		return errNoAccessControl
	}
	query := r.URL.Query()
	var repo mirror.Repo
	if name := query.Get("repository"); name != "" {
		var err error
		if repo, err = h.mirror.Names().Repo(name, ""); err != nil {
			return mirror.Errorf(mirror.CodeNameInvalid, "%q is not a repository: %w", name, err)
		}
	}
	return writeJSON(w, h.opts.Access.Explain(query.Get("user"), registry.Action(query.Get("action")), repo))
}

var errNoAccessControl = mirror.Errorf(mirror.CodeUnsupported, "no server runs: a command has all rights")

// AccessRules returns who may do what.
func (c *Client) AccessRules(ctx context.Context) (rules AccessRules, err error) {
	return rules, c.call(ctx, http.MethodGet, "access", nil, &rules)
}

// CheckAccess answers a question about access.
func (c *Client) CheckAccess(ctx context.Context, q AccessQuestion) (answer AccessAnswer, err error) {
	query := url.Values{"user": {q.User}, "action": {string(q.Action)}, "repository": {q.Repository}}
	return answer, c.call(ctx, http.MethodGet, "access/check?"+query.Encode(), nil, &answer)
}
