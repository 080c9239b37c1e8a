package test_test

import (
	"bufio"
	"bytes"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func bufferOf(text []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(text)) }

func metaSelector(set *appsv1.StatefulSet) (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(set.Spec.Selector)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// shutdownSeconds is how long a mirror takes to end, at most and by default; the example of a configuration says so.
func shutdownSeconds(t *testing.T) int64 {
	t.Helper()
	match := regexp.MustCompile(`(?m)^#shutdownTimeout: (\S+)$`).FindSubmatch(read(t, "../mirror.yaml"))
	if match == nil {
		t.Fatal("mirror.yaml does not say how long a mirror takes to end")
	}
	timeout, err := time.ParseDuration(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return int64(timeout.Seconds())
}

// wantSettings checks that the mirror understands a configuration and variables beside.
func wantSettings(t *testing.T, config string, variables ...string) {
	t.Helper()
	bin := os.Getenv("MIRROR_BIN")
	if bin == "" {
		t.Fatal("MIRROR_BIN does not say where the mirror is: use make manifests")
	}
	path := filepath.Join(t.TempDir(), "mirror.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "config", "check", "--no-files", "--config", path)
	cmd.Env = variables
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil || said.Len() > 0 { // it warns about unknown variables
		t.Errorf("the mirror does not take these settings: %v\n%s\n%s\n%s", err, &said, variables, config)
	}
}

// wantSettings checks those that the mirror of a cluster is given.
func (m manifests) wantSettings(t *testing.T) {
	t.Helper()
	var variables []string
	for _, v := range m.container().Env {
		if v.Name != "MIRROR_CONFIG" {
			variables = append(variables, v.Name+"="+v.Value)
		}
	}
	wantSettings(t, m.config.Data["mirror.yaml"], variables...)
	if got := m.variable("MIRROR_CONFIG"); filepath.Base(got) != "mirror.yaml" || !m.isMounted(filepath.Dir(got)) {
		t.Errorf("the settings are not at %q", got)
	}
}

func (m manifests) isMounted(path string) bool {
	for _, mount := range m.container().VolumeMounts {
		if mount.MountPath == path && mount.Name == "config" {
			return true
		}
	}
	return false
}

type (
	podSpec = corev1.PodSpec
	probe   = corev1.Probe
)

func sameSpec(a, b podSpec) bool { return equality.Semantic.DeepEqual(a, b) }

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
