package test_test

import (
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load("../helm")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// render does what helm template does with values in YAML: a value that the schema does not have is an error, and so is
// one that a template asks for and that is not there.
func render(t *testing.T, values string) (manifests, error) {
	t.Helper()
	c := loadChart(t)
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	release := chartutil.ReleaseOptions{Name: "plant", Namespace: "registry", IsInstall: true, Revision: 1}
	all, err := chartutil.ToRenderValues(c, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return manifests{}, err
	}
	strict := engine.Engine{Strict: true}
	files, err := strict.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range slices.Sorted(keysOf(files)) {
		if strings.HasSuffix(name, ".yaml") {
			text.WriteString("---\n" + files[name] + "\n")
		} else if strings.HasSuffix(name, "NOTES.txt") && !strings.Contains(files[name], "plant-airmirror-0 -- mirror client kubernetes") {
			t.Errorf("the notes are\n%s", files[name])
		}
	}
	return decode(t, []byte(text.String())), nil
}

func TestTheChartIsSoundWithAnyValues(t *testing.T) {
	for name, tt := range map[string]struct {
		values string
		want   func(manifests) bool
	}{
		"none": {"{}", func(m manifests) bool {
			return m.container().LivenessProbe.HTTPGet.Scheme == "HTTP" && m.container().Image == "airmirror:latest"
		}},
		"offline": {"offline: true", func(m manifests) bool {
			return len(m.policies) == 1 && len(m.policies[0].Spec.Egress) == 0 && m.variable("MIRROR_OFFLINE") == "true"
		}},
		"TLS": {"tls: {secretName: reg}", func(m manifests) bool {
			return m.container().ReadinessProbe.HTTPGet.Scheme == "HTTPS"
		}},
		"certificates of clients": {"{tls: {secretName: reg}, config: {tls: {clientCAFile: /etc/mirror/tls/ca.crt, requireClientCert: true}}}", func(m manifests) bool {
			return slices.Equal(m.container().LivenessProbe.Exec.Command, []string{"mirror", "health"})
		}},
		"a disk that is there": {"persistence: {existingClaim: disk}", func(m manifests) bool {
			return len(m.set.Spec.VolumeClaimTemplates) == 0
		}},
		"a disk of a class": {"persistence: {storageClass: fast, size: 2Ti}", func(m manifests) bool {
			claim := m.set.Spec.VolumeClaimTemplates[0].Spec
			return *claim.StorageClassName == "fast" && claim.Resources.Requests.Storage().String() == "2Ti"
		}},
		"no network policy": {"networkPolicy: {enabled: false}", func(m manifests) bool { return len(m.policies) == 0 }},
		"a proxy":           {"{env: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}], networkPolicy: {egressPorts: [3128]}}", func(m manifests) bool { return m.variable("HTTPS_PROXY") != "" }},
		"another service":   {"service: {type: ClusterIP, clusterIP: 10.96.0.50, annotations: {a: b}}", func(m manifests) bool { return m.service.Spec.Ports[0].NodePort == 0 }},
		"any node port":     {"service: {nodePort: null}", func(m manifests) bool { return m.service.Spec.Ports[0].NodePort == 0 }},
		"where it runs": {"{nodeSelector: {disk: big}, tolerations: [{operator: Exists}], affinity: {nodeAffinity: {}}, podAnnotations: {a: b}, imagePullSecrets: [{name: x}]}",
			func(m manifests) bool { return m.set.Spec.Template.Spec.NodeSelector["disk"] == "big" }},
		"upstreams with a password": {`
config: {upstreams: [{host: docker.io, endpoints: [{url: "https://hub.corp", credentials: {username: u, passwordFile: /etc/mirror/secrets/hub/password}}]}]}
secrets: [hub]`, func(m manifests) bool { return len(m.container().VolumeMounts) == 3 }},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := render(t, tt.values)
			if err != nil {
				t.Fatal(err)
			}
			m.wantSound(t)
			m.wantSettings(t)
			if !tt.want(m) {
				t.Errorf("container: %+v\nservice: %+v", m.container(), m.service.Spec)
			}
		})
	}
}

func TestTheChartRefusesValuesThatAreNone(t *testing.T) {
	for _, values := range []string{
		"offlien: true", "image: {repository: ''}", "persistence: {accessModes: [ReadOnlyMany]}", "service: {port: 0}", "persistence: {size: big}",
	} {
		if _, err := render(t, values); err == nil {
			t.Errorf("%s is taken", values)
		}
	}
}

// TestTheChartIsTheBase: whoever has the chart and whoever has the manifests has the same mirror.
func TestTheChartIsTheBase(t *testing.T) {
	theirs := build(t, "base")
	ours, err := render(t, "{}")
	if err != nil {
		t.Fatal(err)
	}
	want, got := theirs.set.Spec.Template.Spec, ours.set.Spec.Template.Spec
	for _, spec := range []*podSpec{&want, &got} { // where the settings are, and the name of the image's place, may differ
		spec.Volumes = nil
		c := &spec.Containers[0]
		c.Env, c.VolumeMounts, c.ImagePullPolicy = nil, nil, ""
		for _, probe := range []*probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			probe.HTTPGet.Scheme = ""
		}
		c.StartupProbe.TimeoutSeconds = 0
	}
	if !sameSpec(want, got) {
		t.Errorf("the base has\n%+v\nand the chart\n%+v", want, got)
	}
}
