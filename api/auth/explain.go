package auth

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// AccessRules implements [admin.AccessControl].
func (g *Guard) AccessRules() admin.AccessRules {
	p := g.policy.Load()
	all := admin.AccessRules{Summary: p.summary(), Users: []string{}, Groups: p.groups, Rules: []admin.AccessRule{}}
	all.Users = append(all.Users, slices.Sorted(maps.Keys(p.users.Get().hashes))...)
	for _, r := range p.rules.given {
		all.Rules = append(all.Rules, admin.AccessRule{Users: r.Users, Groups: r.Groups, Repositories: r.Repositories, Actions: r.Actions})
	}
	return all
}

// SetPassword implements [admin.AccessControl]. It writes the htpasswd file.
func (g *Guard) SetPassword(user, password string) (added bool, err error) {
	p := g.policy.Load()
	if p.htpasswd == "" {
		return false, mirror.Errorf(mirror.CodeUnsupported, "this mirror has no file of users")
	}
	added, err = SetPassword(p.htpasswd, user, password)
	if err != nil {
		return false, mirror.Errorf(mirror.CodeNameInvalid, "%w", err)
	}
	return added, p.users.Reload()
}

// RemoveUser implements [admin.AccessControl]. It writes the htpasswd file.
func (g *Guard) RemoveUser(user string) error {
	p := g.policy.Load()
	err := ErrNoUser
	if p.htpasswd != "" {
		err = RemoveUser(p.htpasswd, user)
	}
	switch {
	case errors.Is(err, ErrNoUser):
		return mirror.Errorf(mirror.CodeNameUnknown, "there is no user %s", user)
	case err != nil:
		return err
	}
	return p.users.Reload()
}

// Explain implements [admin.AccessControl]. It knows the rights of a user of any name, as certificates name users as well. It
// leaves out what clients on this machine may do in addition.
func (g *Guard) Explain(user string, action registry.Action, repo mirror.Repo) (answer admin.AccessAnswer) {
	p := g.policy.Load()
	op := registry.Operation{Action: action, Repo: repo}
	for i, r := range p.rules.all {
		one := rules{all: []rule{r}}
		if one.allow(user, op) && (!strings.HasPrefix(user, tokenUser) || one.allow("", op)) {
			answer.Allowed, answer.Rules = true, append(answer.Rules, i+1)
		}
	}
	if name, ok := strings.CutPrefix(user, tokenUser); ok {
		if token := p.tokens.byName(name); token != nil {
			allowed, err := tokenRules(token.Token, p.names)
			answer.Allowed = answer.Allowed || err == nil && allowed.allow(user, op)
		}
	}
	return answer
}
