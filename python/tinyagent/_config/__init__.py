"""options checks limits redacting tool"""
