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
	m.wantNoPrivateEgress(t)
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

// wantNoPrivateEgress fails the test if a policy lets the mirror reach a private network, other than for names.
func (m manifests) wantNoPrivateEgress(t *testing.T) {
	t.Helper()
	for _, rule := range m.policies[0].Spec.Egress {
		if len(rule.Ports) == 2 && rule.Ports[0].Port.IntValue() == 53 && rule.Ports[1].Port.IntValue() == 53 {
			continue
		}
		if len(rule.To) == 0 {
			t.Error("ports are open to every address")
		}
		for _, to := range rule.To {
			if to.IPBlock == nil || len(to.IPBlock.Except) == 0 {
				t.Errorf("%+v is not only public", to)
			}
		}
	}
}
