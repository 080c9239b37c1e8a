// Package test_test checks what deploy/ ships for Kubernetes, Compose and Prometheus with the code of these themselves:
// their types, decoded strictly, and their renderers. It is a module of its own, so that none of that is the product's.
package test_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// manifests are the objects that a mirror in a cluster is made of.
type manifests struct {
	set      *appsv1.StatefulSet
	service  *corev1.Service
	config   *corev1.ConfigMap
	policies []*netv1.NetworkPolicy
}

// decode reads objects as a strict API server does: a field that does not exist is an error.
func decode(t *testing.T, text []byte) (m manifests) {
	t.Helper()
	codec := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	documents := yaml.NewYAMLReader(bufferOf(text))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		object, _, err := codec.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		m.add(t, object)
	}
	if m.set == nil || m.service == nil || m.config == nil {
		t.Fatalf("a StatefulSet, a Service or a ConfigMap is missing:\n%s", text)
	}
	return m
}

func (m *manifests) add(t *testing.T, object runtime.Object) {
	t.Helper()
	switch o := object.(type) {
	case *appsv1.StatefulSet:
		m.set = o
	case *corev1.Service:
		m.service = o
	case *corev1.ConfigMap:
		m.config = o
	case *netv1.NetworkPolicy:
		m.policies = append(m.policies, o)
	case *corev1.Namespace:
	default:
		t.Errorf("nothing here knows what to do with a %T", object)
	}
}

// container is the mirror's.
func (m manifests) container() corev1.Container { return m.set.Spec.Template.Spec.Containers[0] }

// variable is the value of one that the container is given.
func (m manifests) variable(name string) string {
	for _, v := range m.container().Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// wantSound checks that objects fit together, and that a namespace which enforces the restricted profile takes them.
func (m manifests) wantSound(t *testing.T) {
	t.Helper()
	pod := m.set.Spec.Template
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("pod security: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	selector, err := metaSelector(m.set)
	if err != nil || !selector.Matches(labels.Set(pod.Labels)) {
		t.Errorf("the StatefulSet does not select its own pods: %v", err)
	}
	if !labels.SelectorFromSet(m.service.Spec.Selector).Matches(labels.Set(pod.Labels)) || len(m.service.Spec.Selector) == 0 {
		t.Errorf("the service selects %v, and the pods are %v", m.service.Spec.Selector, pod.Labels)
	}
	if m.set.Spec.ServiceName != m.service.Name {
		t.Errorf("the StatefulSet is of the service %q, which is called %q", m.set.Spec.ServiceName, m.service.Name)
	}
	if *m.set.Spec.Replicas != 1 {
		t.Errorf("%d mirrors own the same data", *m.set.Spec.Replicas)
	}
	if grace := *pod.Spec.TerminationGracePeriodSeconds; grace <= shutdownSeconds(t) {
		t.Errorf("it is killed after %ds, and may take %ds", grace, shutdownSeconds(t))
	}
	m.wantMounted(t)
	m.wantPorts(t)
}

// wantMounted checks that every mount has its volume.
func (m manifests) wantMounted(t *testing.T) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range m.set.Spec.Template.Spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && v.ConfigMap.Name != m.config.Name {
			t.Errorf("the volume %s is of the ConfigMap %s, which is called %s", v.Name, v.ConfigMap.Name, m.config.Name)
		}
	}
	for _, claim := range m.set.Spec.VolumeClaimTemplates {
		if volumes[claim.Name] {
			t.Errorf("there are two volumes %s", claim.Name)
		}
		volumes[claim.Name] = true
	}
	for _, mount := range m.container().VolumeMounts {
		if !volumes[mount.Name] {
			t.Errorf("there is no volume %s", mount.Name)
		}
		delete(volumes, mount.Name)
	}
	for name := range volumes {
		t.Errorf("the volume %s is mounted nowhere", name)
	}
}

// wantPorts checks that what is asked for by name is a port of the container.
func (m manifests) wantPorts(t *testing.T) {
	t.Helper()
	ports := map[string]bool{}
	for _, p := range m.container().Ports {
		ports[p.Name] = true
	}
	var asked []string
	for _, p := range m.service.Spec.Ports {
		asked = append(asked, p.TargetPort.StrVal)
	}
	c := m.container()
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if probe.HTTPGet != nil {
			asked = append(asked, probe.HTTPGet.Port.StrVal)
		}
	}
	for _, p := range m.policies {
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				asked = append(asked, port.Port.StrVal)
			}
		}
	}
	for _, name := range asked {
		if !ports[name] {
			t.Errorf("the container has no port %q", name)
		}
	}
}
