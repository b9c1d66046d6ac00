package fallback

import "strings"

// steers says which request headers, beside those in every key, an upstream may take another method, host or path
// from ("Practical Web Cache Poisoning", Kettle 2018; "Web Cache Entanglement", Kettle 2020). Balancers don't set them on
// each request, save `forwarded`, which has the client's address and is another one for each.
func steers(name string) bool {
	switch name {
	case "forwarded",
		"x-host", "x-original-host", "x-http-host-override", "x-forwarded-path", "x-forwarded-uri",
		"x-original-url", "x-original-uri", "x-rewrite-url", "x-http-destinationurl", "x-http-path-override",
		"x-forwarded-method", "x-original-method",
		"x-http-method-override", "x-http-method", "x-method-override":
		return true
	}
	return false
}

// tellsWho says which request headers tell an upstream who asks, so that the answer may be for that one only:
// authorization, cookie, and what is named like a credential or an identity. There is no end to those names (x-api-key,
// x-auth-token, x-amz-security-token, x-forwarded-client-cert, x-goog-iap-jwt-assertion, x-ms-client-principal,
// x-tenant-id, x-forwarded-user, …), so that the words in them decide.
func tellsWho(name string) bool {
	switch name {
	case "user-agent", "x-user-agent", "x-request-id", "x-forwarded-for", "x-forwarded-proto":
		return false
	}
	if strings.HasPrefix(name, ":") || strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "x-envoy-") {
		return false // sec-fetch-user: ?1 is every browser's
	}
	return anyWord(name, isSecret) || anyWord(name, isIdentity)
}

// anyWord asks about each of a name's words.
func anyWord(name string, about func(word string) bool) bool {
	start := 0
	for i := range len(name) {
		if name[i] == '-' || name[i] == '_' {
			if about(name[start:i]) {
				return true
			}
			start = i + 1
		}
	}
	return about(name[start:])
}

// isSecret knows the words of what only one client has, or is told.
func isSecret(word string) bool {
	switch word {
	case "jwt", "oauth", "oidc", "saml", "csrf", "xsrf", "secret", "password", "passwd", "dpop", "sid":
		return true
	case "author", "authors", "authority":
		return false
	}
	return strings.HasSuffix(word, "token") || strings.HasPrefix(word, "auth") || strings.HasPrefix(word, "cookie") ||
		strings.HasPrefix(word, "session") || strings.HasPrefix(word, "user")
}

// isIdentity knows the words by which a request tells who sends it.
func isIdentity(word string) bool {
	switch word {
	case "account", "assertion", "bearer", "cert", "certificate", "clientcert", "consumer", "credential", "credentials", "customer", "dn",
		"email", "group", "groups", "identity", "impersonate", "login", "principal", "role", "roles", "signature", "subject", "tenant":
		return true
	}
	return strings.HasSuffix(word, "key")
}
