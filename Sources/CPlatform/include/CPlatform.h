// CPlatform
