"""The page: one HTML file, without network, that shows a cloud before and after in three dimensions.

`scene` chooses what is shown, `pack` puts it into few bytes, `facts` says it in words, `page` makes the file; the
scripts and the style sheet beside them run in the browser, in the order of `page.SCRIPTS`.
"""
