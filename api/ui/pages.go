package ui

import "time"

// Intervals in which pages are loaded again while somebody looks at them.
const (
	often  = 1500 * time.Millisecond
	seldom = 10 * time.Second
)

// allPages returns the pages in the order of the navigation.
func allPages() []page {
	return []page{
		{name: "", live: 2 * often, load: overviewPage},
		{name: "images", live: seldom, load: imagesPage, actions: map[string]action{
			"pin": pin("pin"), "unpin": pin("unpin"), "delete": deleteImages, "export": exportImages,
		}},
		{name: "image", hidden: true, load: imagePage},
		{name: "wants", live: often, load: wantsPage, actions: map[string]action{"fetch": fetchWants, "dismiss": dismissWants}},
		{name: "transfer", live: often, load: transferPage, actions: map[string]action{
			"import": importForm, "start": startUpload, "send": sendUpload, "plan": planExport, "download": downloadExport,
		}},
		{name: "space", load: spacePage, actions: map[string]action{"plan": planCollection, "collect": collect}},
		{name: "clients", load: clientsPage},
		{name: "access", load: accessPage, actions: map[string]action{"user": addUser, "remove": removeUser, "token": createToken, "revoke": revokeToken}},
		{name: "system", live: 2 * often, load: systemPage, actions: map[string]action{
			"mode": setMode, "read-only": setReadOnly, "verify": verify, "cancel": cancelJob,
		}},
		{name: "wants.json", hidden: true, serve: serveWants},
		{name: "login", hidden: true, load: loginPage, actions: map[string]action{"login": login, "logout": logout}},
		{name: "preferences", hidden: true, serve: goHome, actions: map[string]action{"set": setPreferences}},
	}
}
