package auth

import (
	"fmt"
	"slices"
	"strings"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Names in rules that stand for more than one user.
const (
	Anonymous     = "anonymous"     // everybody, logged in or not
	Authenticated = "authenticated" // everybody who is logged in
)

// Rule allows some clients to do something. An operation is allowed if any rule allows it; no rule can forbid it.
type Rule struct {
	// Users are user names, [Anonymous], or [Authenticated], which may be written *. Groups are names in
	// [Options.Groups].
	Users, Groups []string
	// Repositories are patterns of [mirror.Match]. The first part is a host if it contains a dot or a colon or is
	// localhost, as in image names. A pattern without a host applies to the default registry, except for ** and
	// patterns that begin with it, which apply to all registries.
	Repositories []string
	// Actions are the allowed actions. Admin includes pull, push and delete; for ** it also allows administering the
	// mirror, see [Guard.Admins].
	Actions []registry.Action
}

// Actions returns the actions that rules can allow.
func Actions() []registry.Action {
	return []registry.Action{registry.Pull, registry.Push, registry.Delete, registry.Admin}
}

// rules is the compiled form of all rules.
type rules struct {
	all        []rule
	given      []Rule // those that all was compiled from
	configured int    // how many of them come from the options
}

type rule struct {
	anonymous, authenticated bool
	users                    []string
	everywhere               bool
	patterns                 []string
	actions                  []registry.Action
}

func compile(opts Options) (rules, error) {
	given := opts.Rules
	if len(given) == 0 {
		everywhere := []string{"**"}
		given = append(given, Rule{Users: []string{Authenticated}, Repositories: everywhere, Actions: Actions()})
		if !opts.NoAnonymousPull {
			given = append(given, Rule{Users: []string{Anonymous}, Repositories: everywhere, Actions: []registry.Action{registry.Pull}})
		}
		if opts.AnonymousPush {
			given = append(given, Rule{Users: []string{Anonymous}, Repositories: everywhere, Actions: []registry.Action{registry.Push, registry.Delete}})
		}
	}
	for group, users := range opts.Groups {
		for _, user := range users {
			if !ValidUser(user) {
				return rules{}, fmt.Errorf("group %s: %q is not a valid user name", group, user)
			}
		}
	}
	all := rules{given: given, configured: len(opts.Rules)}
	for i, r := range given {
		compiled, err := r.compile(opts)
		if err != nil {
			return rules{}, fmt.Errorf("rule %d: %w", i+1, err)
		}
		all.all = append(all.all, compiled)
	}
	return all, nil
}

func (r Rule) compile(opts Options) (c rule, err error) {
	if len(r.Users)+len(r.Groups) == 0 {
		return c, fmt.Errorf("it applies to nobody: name users or groups, %s or %s", Anonymous, Authenticated)
	}
	for _, user := range r.Users {
		switch {
		case user == Anonymous:
			c.anonymous = true
		case user == Authenticated || user == "*":
			c.authenticated = true
		case !ValidUser(user):
			return c, fmt.Errorf("%q is not a valid user name", user)
		default:
			c.users = append(c.users, user)
		}
	}
	for _, group := range r.Groups {
		users, ok := opts.Groups[group]
		if !ok {
			return c, fmt.Errorf("group %s is not defined", group)
		}
		c.users = append(c.users, users...)
	}
	if len(r.Repositories) == 0 {
		return c, fmt.Errorf("it applies to no repository: name some, or ** for all")
	}
	for _, pattern := range r.Repositories {
		if !mirror.ValidPattern(pattern) {
			return c, fmt.Errorf("%q is not a valid pattern of repositories", pattern)
		}
		c.everywhere = c.everywhere || pattern == "**"
		c.patterns = append(c.patterns, qualify(opts.Names, pattern))
	}
	if len(r.Actions) == 0 {
		return c, fmt.Errorf("it allows nothing: name actions from %v", Actions())
	}
	for _, action := range r.Actions {
		if !slices.Contains(Actions(), action) {
			return c, fmt.Errorf("unknown action %s: use %s", action, strings.ReplaceAll(strings.Trim(fmt.Sprint(Actions()), "[]"), " ", ", "))
		}
	}
	c.actions = r.Actions
	if slices.Contains(r.Actions, registry.Admin) {
		c.actions = Actions()
	}
	return c, nil
}

// qualify returns a pattern with its host, in the form that the mirror uses.
func qualify(names mirror.Names, pattern string) string {
	first, rest, _ := strings.Cut(pattern, "/")
	if first == "**" {
		return pattern
	}
	// The rest of the pattern may not be a valid name, so a placeholder stands for it.
	repo, err := names.Repo(first+"/x", "")
	switch {
	case rest != "" && err == nil && repo.Path == "x": // the first part is a host
		return repo.Host + "/" + rest
	case rest != "" && strings.ContainsAny(first, ".:"): // the host contains a wildcard
		return pattern
	}
	own, _ := names.Repo("x", "")
	return own.Host + "/" + pattern
}

// allow reports whether a user may perform an operation. The user "" is anonymous. An operation without a repository is
// about all repositories.
func (r rules) allow(user string, op registry.Operation) bool {
	for i := range r.all {
		if rule := &r.all[i]; rule.appliesTo(user) && slices.Contains(rule.actions, op.Action) && rule.covers(op.Repo) {
			return true
		}
	}
	return false
}

// allowsAny reports whether a user may perform an action on any repository.
func (r rules) allowsAny(user string, action registry.Action) bool {
	for i := range r.all {
		if rule := &r.all[i]; rule.appliesTo(user) && slices.Contains(rule.actions, action) {
			return true
		}
	}
	return false
}

func (r *rule) appliesTo(user string) bool {
	return r.anonymous || user != "" && (r.authenticated || slices.Contains(r.users, user))
}

func (r *rule) covers(repo mirror.Repo) bool {
	return r.everywhere || repo != (mirror.Repo{}) && mirror.MatchAny(r.patterns, repo.String())
}
