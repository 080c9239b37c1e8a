package test_test

import (
	"slices"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose reads a file as docker compose does, and checks the mirrors in it.
func compose(t *testing.T, file string) *types.Project {
	t.Helper()
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: t.TempDir(), ConfigFiles: []types.ConfigFile{{Filename: file, Content: read(t, "../"+file)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range project.Services {
		var variables []string
		for variable, value := range service.Environment {
			variables = append(variables, variable+"="+*value)
		}
		wantSettings(t, "", variables...)
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do more than it needs", name)
		}
		if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) <= time.Duration(shutdownSeconds(t))*time.Second {
			t.Errorf("%s is killed before it can end: %v", name, service.StopGracePeriod)
		}
		if !slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/data" && !v.ReadOnly }) {
			t.Errorf("%s keeps nothing: %+v", name, service.Volumes)
		}
	}
	return project
}

func TestComposeOfOneMirror(t *testing.T) {
	project := compose(t, "compose.yaml")
	ports := project.Services["mirror"].Ports
	if len(project.Services) != 1 || len(ports) != 1 || ports[0].Target != 5000 || ports[0].Published != "5000" {
		t.Errorf("services: %+v", project.Services)
	}
}

// TestComposeOfAnAirGap: nothing but the disk leads from one side to the other, and nothing at all out of the inside.
func TestComposeOfAnAirGap(t *testing.T) {
	project := compose(t, "compose.airgap.yaml")
	staging, inside := project.Services["staging"], project.Services["inside"]
	if len(inside.Networks) != 1 || !project.Networks["inside"].Internal || len(inside.Ports) != 0 {
		t.Errorf("the inside leads out: %+v", inside)
	}
	if _, both := staging.Networks["inside"]; both {
		t.Error("staging reaches inside")
	}
	if offline := inside.Environment["MIRROR_OFFLINE"]; offline == nil || *offline != "true" {
		t.Error("inside would dial")
	}
	shared := map[string]bool{}
	for _, volume := range staging.Volumes {
		shared[volume.Source] = true
	}
	for _, volume := range inside.Volumes {
		if shared[volume.Source] && (volume.Target != "/bundles" || !volume.ReadOnly) {
			t.Errorf("inside writes to %s, which is staging's", volume.Source)
		}
	}
}
