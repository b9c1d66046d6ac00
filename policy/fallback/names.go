package fallback

import "strings"

// reroutes reports whether an upstream may take another method, host or path from this request header, which is not in
// every key ("Practical Web Cache Poisoning", Kettle 2018; "Web Cache Entanglement", Kettle 2020). Load balancers don't
// set them on each request, except `forwarded`, which has the client's address and differs for each client.
func reroutes(name string) bool {
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

// identifiesClient reports whether a request header identifies the client, so that the answer may be only for that
// client: authorization, cookie, and names like those of a credential or an identity. There are too many such names to
// list (x-api-key, x-auth-token, x-amz-security-token, x-forwarded-client-cert, x-goog-iap-jwt-assertion,
// x-ms-client-principal, x-tenant-id, x-forwarded-user, …), so the words in them decide.
func identifiesClient(name string) bool {
	switch name {
	case "user-agent", "x-user-agent", "x-request-id", "x-forwarded-for", "x-forwarded-proto":
		return false
	}
	if strings.HasPrefix(name, ":") || strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "x-envoy-") {
		return false // every browser sends sec-fetch-user: ?1
	}
	return anyWord(name, isSecret) || anyWord(name, isIdentity)
}

// anyWord reports whether any word of a name matches.
func anyWord(name string, matches func(word string) bool) bool {
	start := 0
	for i := range len(name) {
		if name[i] == '-' || name[i] == '_' {
			if matches(name[start:i]) {
				return true
			}
			start = i + 1
		}
	}
	return matches(name[start:])
}

// isSecret reports whether a word names a secret of one client.
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

// isIdentity reports whether a word names the identity of a client.
func isIdentity(word string) bool {
	switch word {
	case "account", "assertion", "bearer", "cert", "certificate", "clientcert", "consumer", "credential", "credentials", "customer", "dn",
		"email", "group", "groups", "identity", "impersonate", "login", "principal", "role", "roles", "signature", "subject", "tenant":
		return true
	}
	return strings.HasSuffix(word, "key")
}
