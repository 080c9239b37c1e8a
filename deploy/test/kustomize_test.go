package test_test

import (
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func build(t *testing.T, folder string) manifests {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../kubernetes/"+folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

func TestTheBaseIsSound(t *testing.T) {
	m := build(t, "base")
	m.wantSound(t)
	m.wantSettings(t)
	if len(m.policies) != 1 || len(m.policies[0].Spec.Egress) == 0 {
		t.Error("it cannot reach its upstreams")
	}
}

func TestACutOffMirrorReachesNothing(t *testing.T) {
	m := build(t, "airgap")
	m.wantSound(t)
	m.wantSettings(t)
	if len(m.policies) != 1 || len(m.policies[0].Spec.Egress) != 0 || len(m.policies[0].Spec.PolicyTypes) != 2 {
		t.Errorf("network policies: %+v", m.policies)
	}
	if m.variable("MIRROR_OFFLINE") != "true" {
		t.Errorf("variables: %+v", m.container().Env)
	}
}
