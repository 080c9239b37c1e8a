package test_test

import (
	"encoding/json"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// alerts are the expressions of the rules, by their names, as Prometheus reads them.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	promql := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.Parse(read(t, "../prometheus/alerts.yaml"), false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if len(errs) > 0 {
		t.FailNow()
	}
	all := map[string]string{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if all[rule.Alert] != "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("the alert %s is there twice, or lacks a severity or a summary", rule.Alert)
			}
			all[rule.Alert] = rule.Expr
		}
	}
	return all
}

// dashboard is what there is to check in one of Grafana's.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct {
			Name  string
			Query any
		}
	}
}

// panels are the expressions of the dashboard, by where they are, with its variables filled in.
func panels(t *testing.T) map[string]string {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal(read(t, "../grafana/dashboard.json"), &d); err != nil {
		t.Fatal(err)
	}
	variables := []string{"$__rate_interval", "5m"}
	for _, v := range d.Templating.List {
		variables = append(variables, "$"+v.Name, "x")
	}
	fill := strings.NewReplacer(variables...)
	all, ids, taken := map[string]string{}, map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("the panel %q has the number of another, or shows nothing", p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("the panel %q lies on %q, or beside the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for i, target := range p.Targets {
			all[p.Title+" "+strconv.Itoa(i)] = fill.Replace(target.Expr)
		}
	}
	return all
}

// told are the words that the metrics of the mirror are named with: every text in the code that makes them.
func told(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../api/metrics/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no metrics: %v", err)
	}
	words := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := goparser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				word, _ := strconv.Unquote(literal.Value) // it is one, or it would not compile
				words[word] = true
			}
			return true
		})
	}
	return words
}

// isTold reports whether a metric is one of the mirror's: mirror_NAME, or mirror_SUBSYSTEM_NAME.
func isTold(words map[string]bool, metric string) bool {
	name, ours := strings.CutPrefix(strings.TrimSuffix(metric, "_bucket"), "mirror_")
	subsystem, rest, _ := strings.Cut(name, "_")
	return ours && words["mirror"] && (words[name] || words[subsystem] && words[rest])
}

// TestRulesAndPanelsAreUnderstood, and ask for metrics and labels that the mirror tells.
func TestRulesAndPanelsAreUnderstood(t *testing.T) {
	all := map[string]string{}
	for name, expression := range alerts(t) {
		all["alert "+name] = expression
	}
	for name, expression := range panels(t) {
		all["panel "+name] = expression
	}
	if len(all) < 20 {
		t.Fatalf("there is little to check: %v", all)
	}
	promql := parser.NewParser(parser.Options{})
	for name, expression := range all {
		if _, err := promql.ParseExpr(expression); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	words := told(t)
	for _, added := range []string{"job", "instance", "le", labels.MetricName} { // by Prometheus
		words[added] = true
	}
	for name, expression := range all {
		parsed, err := promql.ParseExpr(expression)
		if err != nil {
			continue
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			switch n := node.(type) {
			case *parser.VectorSelector:
				if n.Name != "up" && !isTold(words, n.Name) {
					t.Errorf("%s: the mirror has no metric %s", name, n.Name)
				}
				for _, matcher := range n.LabelMatchers {
					if !words[matcher.Name] {
						t.Errorf("%s: %s has no label %s", name, n.Name, matcher.Name)
					}
				}
			case *parser.AggregateExpr:
				for _, label := range n.Grouping {
					if !words[label] {
						t.Errorf("%s: no metric has a label %s", name, label)
					}
				}
			}
			return nil
		})
	}
}
