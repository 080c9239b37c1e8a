package auth_test

import (
	"slices"
	"testing"

	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/mirror"
)

func TestExplainNamesTheRules(t *testing.T) {
	tokens := openTokens(t, &states{})
	createToken(t, tokens, ci)
	guard, err := auth.New(auth.Options{Tokens: tokens, Htpasswd: htpasswd(t, "bob", "alice"), Groups: map[string][]string{"ops": {"alice"}}, Rules: []auth.Rule{
		{Users: []string{auth.Anonymous}, Repositories: []string{"library/*"}, Actions: []registry.Action{registry.Pull}},
		{Groups: []string{"ops"}, Repositories: []string{"**"}, Actions: []registry.Action{registry.Admin}},
	}})
	must(t, err)
	team, library := mirror.Repo{Host: mirror.DockerHub, Path: "team/app"}, mirror.Repo{Host: mirror.DockerHub, Path: "library/app"}
	for _, tt := range []struct {
		user    string
		action  registry.Action
		repo    mirror.Repo
		allowed bool
		rules   []int
	}{
		{"", registry.Pull, library, true, []int{1}},
		{"", registry.Pull, team, false, nil},
		{"bob", registry.Pull, library, true, []int{1}},
		{"bob", registry.Push, library, false, nil},
		{"alice", registry.Pull, library, true, []int{1, 2}},
		{"alice", registry.Admin, mirror.Repo{}, true, []int{2}},
		{"bob", registry.Admin, mirror.Repo{}, false, nil},
		{"token:ci", registry.Push, team, true, nil},
		{"token:ci", registry.Pull, library, true, []int{1}},
		{"token:ci", registry.Delete, team, false, nil},
		{"token:none", registry.Push, team, false, nil},
	} {
		got := guard.Explain(tt.user, tt.action, tt.repo)
		if got.Allowed != tt.allowed || !slices.Equal(got.Rules, tt.rules) {
			t.Errorf("%q %s %s: %+v", tt.user, tt.action, tt.repo, got)
		}
	}
	if all := guard.AccessRules(); !slices.Equal(all.Users, []string{"alice", "bob"}) || len(all.Rules) != 2 || len(all.Groups) != 1 || all.Summary == "" {
		t.Errorf("%+v", all)
	}
}
