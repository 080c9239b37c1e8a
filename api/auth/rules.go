package auth

import (
	"fmt"
	"slices"
	"strings"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Who rules can name beside users.
const (
	Anonymous     = "anonymous"     // everybody, logged in or not
	Authenticated = "authenticated" // everybody who is logged in
)

// Rule allows some clients to do something. What any rule allows is allowed; there are none that forbid.
type Rule struct {
	// Users are names, [Anonymous], or [Authenticated], which may be written *. Groups are those of [Options].
	Users, Groups []string
	// Repositories are patterns of [mirror.Match]. Its first part is a host if it has a dot or a colon in it, or is
	// localhost, as in names; a pattern without is about the default registry, but ** and what is below is about all.
	Repositories []string
	// Actions are those of [Actions]. Admin is to pull, push and delete; for ** it is to look after the mirror as well, as
	// [Guard.Admins] asks it.
	Actions []registry.Action
}

// Actions are what rules can allow.
func Actions() []registry.Action {
	return []registry.Action{registry.Pull, registry.Push, registry.Delete, registry.Admin}
}

// rules are what there is to be asked.
type rules struct {
	all        []rule
	configured int // how many of them were
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
				return rules{}, fmt.Errorf("group %s: %q is not the name of a user", group, user)
			}
		}
	}
	all := rules{configured: len(opts.Rules)}
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
		return c, fmt.Errorf("it is about nobody: name users or groups, %s or %s", Anonymous, Authenticated)
	}
	for _, user := range r.Users {
		switch {
		case user == Anonymous:
			c.anonymous = true
		case user == Authenticated || user == "*":
			c.authenticated = true
		case !ValidUser(user):
			return c, fmt.Errorf("%q is not the name of a user", user)
		default:
			c.users = append(c.users, user)
		}
	}
	for _, group := range r.Groups {
		users, ok := opts.Groups[group]
		if !ok {
			return c, fmt.Errorf("there is no group %s", group)
		}
		c.users = append(c.users, users...)
	}
	if len(r.Repositories) == 0 {
		return c, fmt.Errorf("it is about no repository: name some, or ** for all")
	}
	for _, pattern := range r.Repositories {
		if !mirror.ValidPattern(pattern) {
			return c, fmt.Errorf("%q is not a pattern of repositories", pattern)
		}
		c.everywhere = c.everywhere || pattern == "**"
		c.patterns = append(c.patterns, qualify(opts.Names, pattern))
	}
	if len(r.Actions) == 0 {
		return c, fmt.Errorf("it allows nothing: name actions, which are %v", Actions())
	}
	for _, action := range r.Actions {
		if !slices.Contains(Actions(), action) {
			return c, fmt.Errorf("there is no action %s: there are %s", action, strings.ReplaceAll(strings.Trim(fmt.Sprint(Actions()), "[]"), " ", ", "))
		}
	}
	c.actions = r.Actions
	if slices.Contains(r.Actions, registry.Admin) {
		c.actions = Actions()
	}
	return c, nil
}

// full returns a pattern with the host that it is about in front, as it is called here.
func qualify(names mirror.Names, pattern string) string {
	first, rest, _ := strings.Cut(pattern, "/")
	if first == "**" {
		return pattern
	}
	// A name is put in place of the pattern's rest, which would be outside of their grammar.
	repo, err := names.Repo(first+"/x", "")
	switch {
	case rest != "" && err == nil && repo.Path == "x": // its first part is a host
		return repo.Host + "/" + rest
	case rest != "" && strings.ContainsAny(first, ".:"): // and has a wildcard in it
		return pattern
	}
	own, _ := names.Repo("x", "")
	return own.Host + "/" + pattern
}

// allow reports whether a user may do what is asked; "" is nobody. Without a repository it is about all.
func (r rules) allow(user string, op registry.Operation) bool {
	for i := range r.all {
		if rule := &r.all[i]; rule.appliesTo(user) && slices.Contains(rule.actions, op.Action) && rule.covers(op.Repo) {
			return true
		}
	}
	return false
}

// somewhere reports whether there is something that a user may do it to.
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
