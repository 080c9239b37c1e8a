package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// shells are the shells that have completions, and how a script for each is written.
var shells = map[string]func(root *cobra.Command, cmd *cobra.Command) error{
	"bash":       func(root, cmd *cobra.Command) error { return root.GenBashCompletionV2(cmd.OutOrStdout(), true) },
	"fish":       func(root, cmd *cobra.Command) error { return root.GenFishCompletion(cmd.OutOrStdout(), true) },
	"powershell": func(root, cmd *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(cmd.OutOrStdout()) },
	"zsh":        func(root, cmd *cobra.Command) error { return root.GenZshCompletion(cmd.OutOrStdout()) },
}

func newCompletionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands in a shell",
		Long: `Print a script for a shell. It completes commands and flags and, from the running server, images, tags,
wants, users and destinations. The Debian and RPM packages install the scripts.`,
		Example: `  source <(mirror completion bash)              # in ~/.bashrc
  source <(mirror completion zsh)               # in ~/.zshrc, after compinit
  mirror completion fish > ~/.config/fish/completions/mirror.fish
  mirror completion powershell | Out-String | Invoke-Expression`,
		Args:      usage(oneOfArguments("a shell")),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE:      func(cmd *cobra.Command, args []string) error { return shells[args[0]](cmd.Root(), cmd) },
	}
}

// completionTimeout limits how long a completion waits for the server. What has arrived until then is offered.
const completionTimeout = time.Second

// lister adds what a completion can offer.
type lister func(ctx context.Context, client *admin.Client, add func(string)) error

// complete returns a function that completes arguments with what the running server lists. Without a server it offers
// nothing: opening the data folder could take long. With most > 0, only that many arguments are completed.
func (q *adminCommand) complete(most int, list lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var found []string
		settings, err := q.source.Load()
		if err != nil || isRemote(cmd) || most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		transport, err := admin.Dial(ctx, settings.Data)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer transport.CloseIdleConnections()
		_ = list(ctx, admin.NewClient(transport), func(name string) {
			if strings.HasPrefix(name, prefix) && !slices.Contains(args, name) && (len(found) == 0 || found[len(found)-1] != name) {
				found = append(found, name)
			}
		}) // what arrived before an error is offered
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// listImages lists images with their tags, and repositories.
func listImages(ctx context.Context, client *admin.Client, add func(string)) error {
	for image, err := range client.Images(ctx, admin.Query{}) {
		if err != nil {
			return err
		}
		add(nameOf(image))
	}
	return nil
}

func listRepositories(ctx context.Context, client *admin.Client, add func(string)) error {
	for image, err := range client.Images(ctx, admin.Query{}) {
		if err != nil {
			return err
		}
		add(image.Name)
	}
	return nil
}

func listPins(ctx context.Context, client *admin.Client, add func(string)) error {
	var pins []mirror.Pin
	err := client.Call(ctx, "pins", struct{}{}, nil, collectItems(&pins))
	for _, pin := range pins {
		add(pin.Ref)
	}
	return err
}

func listWants(ctx context.Context, client *admin.Client, add func(string)) error {
	wants, err := client.Wants(ctx)
	for _, want := range wants {
		add(want.Ref)
	}
	return err
}

// listUpstreams lists the upstreams, for the names of images that are fetched.
func listUpstreams(ctx context.Context, client *admin.Client, add func(string)) error {
	status, err := client.Status(ctx)
	for _, upstream := range status.Upstreams {
		add(upstream.Host + "/")
	}
	return err
}

// listPlatforms lists the platforms of stored images.
func listPlatforms(ctx context.Context, client *admin.Client, add func(string)) error {
	seen := map[string]bool{"": true}
	for image, err := range client.Images(ctx, admin.Query{}) {
		if err != nil {
			return err
		}
		if !seen[image.Platform] {
			seen[image.Platform] = true
			add(image.Platform)
		}
	}
	return nil
}

// listDestinations lists the destinations of earlier exports.
func listDestinations(ctx context.Context, client *admin.Client, add func(string)) error {
	var sent []transfer.ExportedBundle
	err := client.Call(ctx, "export-history", struct{}{}, nil, collectItems(&sent))
	for _, bundle := range sent {
		add(bundle.Destination)
	}
	return err
}

// complete completes the name of a user.
func (u *userFile) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	settings, err := u.source.Load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	path := u.path
	if path == "" {
		path = settings.Htpasswd()
	}
	users, _ := auth.Users(path) // without the file there are none
	return users, cobra.ShellCompDirectiveNoFileComp
}

// completeFlags sets what the flags of a command complete to: fixed values, or what the server lists.
func completeFlags(cmd *cobra.Command, values map[string]cobra.CompletionFunc) {
	for name, complete := range values {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, complete) // the flag exists
		}
	}
}

// completeSettings sets what the flags of settings complete to.
func completeSettings(cmd *cobra.Command) {
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"mode": oneOf("online", "offline", "auto"), "log-level": oneOf("debug", "info", "warn", "error"), "log-format": oneOf("auto", "console", "json"),
	})
}

// oneOf completes a flag with fixed values.
func oneOf(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}
